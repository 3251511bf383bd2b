//! The platforms under load: fifty portals in this process, each on a port of its own, with moods.
//!
//! A portal that is well answers at once and publishes at once. It drops what comes a second time under its key, as it
//! promises in the configuration, and keeps a list of everything that arrived, which is the judge's only source.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How a portal behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// Takes the connection and reads, and never answers.
    Hangs,
    /// Nobody listens at its port.
    Refuses,
    Slow(Duration),
}

/// One call that began to arrive.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub channel: usize,
    /// The item's number, from its title; none in a look.
    pub item: Option<u32>,
    pub key: String,
    /// When its first byte was here.
    pub at: Instant,
    /// It made an article: not a look, not a repeat under a known key, not left hanging.
    pub applied: bool,
    pub changes: bool,
}

#[derive(Debug, Default)]
struct Books {
    arrivals: Vec<Arrival>,
    /// By channel and key: the article's number.
    articles: BTreeMap<(usize, String), usize>,
}

#[derive(Debug)]
struct Portal {
    channel: usize,
    mood: watch::Receiver<Mood>,
    books: Arc<Mutex<Books>>,
}

#[derive(Debug)]
pub struct Sink {
    portals: Vec<(SocketAddr, watch::Sender<Mood>)>,
    books: Arc<Mutex<Books>>,
    tasks: Vec<JoinHandle<()>>,
}

fn lock(books: &Mutex<Books>) -> MutexGuard<'_, Books> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sink {
    /// At free ports, or at these where a folder knows them from before.
    pub async fn open(count: usize, known: &[SocketAddr]) -> Result<Self, String> {
        let books = Arc::<Mutex<Books>>::default();
        let (mut portals, mut tasks) = (Vec::new(), Vec::new());
        for channel in 0..count {
            let wanted = known.get(channel).copied();
            let wanted = wanted.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 0)));
            let listener = TcpListener::bind(wanted).await;
            let listener = listener.map_err(|error| format!("listen on {wanted}: {error}"))?;
            let address = listener.local_addr().map_err(|error| error.to_string())?;
            let (tell, mood) = watch::channel(Mood::Well);
            let portal = Arc::new(Portal {
                channel,
                mood,
                books: Arc::clone(&books),
            });
            tasks.push(tokio::spawn(listen(portal, listener, address)));
            portals.push((address, tell));
        }
        Ok(Self {
            portals,
            books,
            tasks,
        })
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.portals.iter().map(|(address, _)| *address).collect()
    }

    pub fn set(&self, channel: usize, mood: Mood) {
        if let Some((_, tell)) = self.portals.get(channel) {
            tell.send_replace(mood);
        }
    }

    pub fn set_all(&self, mood: Mood) {
        for channel in 0..self.portals.len() {
            self.set(channel, mood);
        }
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        lock(&self.books).arrivals.clone()
    }

    /// Articles made so far.
    pub fn applied(&self) -> usize {
        lock(&self.books).articles.len()
    }

    /// When the first call that changes something came after this.
    pub fn first_after(&self, after: Instant) -> Option<Instant> {
        let books = lock(&self.books);
        let mut later = books
            .arrivals
            .iter()
            .filter(|one| one.changes && one.at >= after);
        later.next().map(|one| one.at)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Opens and shuts the port as the mood asks.
async fn listen(portal: Arc<Portal>, listener: TcpListener, address: SocketAddr) {
    let mut listener = Some(listener);
    let mut mood = portal.mood.clone();
    loop {
        let refuses = *mood.borrow_and_update() == Mood::Refuses;
        if refuses {
            listener = None;
        } else if listener.is_none() {
            listener = TcpListener::bind(address).await.ok();
        }
        let Some(open) = &listener else {
            let again = tokio::time::sleep(Duration::from_millis(100));
            tokio::select! {
                changed = mood.changed() => if changed.is_err() { return },
                () = again => {}
            }
            continue;
        };
        tokio::select! {
            changed = mood.changed() => if changed.is_err() { return },
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    tokio::spawn(serve(Arc::clone(&portal), stream));
                }
            }
        }
    }
}

/// What is said over there: a head and a body, both whole.
struct Heard {
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

async fn serve(portal: Arc<Portal>, mut stream: TcpStream) {
    let _slow = stream.set_nodelay(true);
    let mut buffer = Vec::with_capacity(8 << 10);
    let mut began = None;
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let at = *began.get_or_insert_with(Instant::now);
        let Some(heard) = whole(&mut buffer) else {
            continue;
        };
        began = None;
        let mood = *portal.mood.borrow();
        let place = portal.arrived(&heard, at);
        match mood {
            Mood::Well => {}
            Mood::Slow(wait) => tokio::time::sleep(wait).await,
            Mood::Hangs | Mood::Refuses => {
                return until_gone(&mut stream, portal.mood.clone()).await;
            }
        }
        let body = portal.answer(&heard, place);
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Until the caller gives up, or the portal is itself again and drops what it hung on.
async fn until_gone(stream: &mut TcpStream, mut mood: watch::Receiver<Mood>) {
    mood.mark_unchanged();
    let gone = async {
        let mut nothing = [0; 256];
        while stream.read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    tokio::select! {
        () = gone => {}
        _ = mood.changed() => {}
    }
}

fn whole(buffer: &mut Vec<u8>) -> Option<Heard> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let length = header(&head, "content-length").and_then(|text| text.parse::<usize>().ok());
    let whole = end + length.unwrap_or(0);
    if buffer.len() < whole {
        return None;
    }
    let body = buffer[end..whole].to_vec();
    buffer.drain(..whole);
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let (method, path) = (word(), word());
    Some(Heard {
        method,
        path,
        head,
        body,
    })
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then_some(value.trim())
    })
}

/// The number in an item's title.
fn number(body: &[u8]) -> Option<u32> {
    let at = body.windows(3).position(|three| three == b"NR-")? + 3;
    let digits = body.get(at..at + 6)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

impl Portal {
    /// Into the books, before anything is answered. Where it stands in them.
    fn arrived(&self, heard: &Heard, at: Instant) -> usize {
        let key = header(&heard.head, "idempotency-key").unwrap_or_default();
        let mut books = lock(&self.books);
        books.arrivals.push(Arrival {
            channel: self.channel,
            item: number(&heard.body),
            key: key.to_owned(),
            at,
            applied: false,
            changes: heard.method != "GET",
        });
        books.arrivals.len() - 1
    }

    fn answer(&self, heard: &Heard, place: usize) -> String {
        let mut books = lock(&self.books);
        if heard.method == "POST" {
            let known = (self.channel, books.arrivals[place].key.clone());
            let next = books.articles.len();
            let mut fresh = false;
            let article = *books.articles.entry(known).or_insert_with(|| {
                fresh = true;
                next
            });
            books.arrivals[place].applied = fresh;
            return format!("{{\"code\":0,\"data\":{}}}", row(article));
        }
        let Some((_, key)) = heard.path.split_once("?key=") else {
            let article = heard.path.rsplit('/').next().and_then(|id| id.parse().ok());
            return format!("{{\"code\":0,\"data\":{}}}", row(article.unwrap_or(0)));
        };
        let known = (self.channel, key.to_owned());
        let found = books
            .articles
            .get(&known)
            .map(|article| format!("{{\"key\":\"{key}\",{}", &row(*article)[1..]));
        format!("{{\"code\":0,\"data\":[{}]}}", found.unwrap_or_default())
    }
}

fn row(article: usize) -> String {
    format!(
        "{{\"id\":\"{article}\",\"url\":\"http://127.0.0.1/{article}\",\"status\":\"published\"}}"
    )
}
