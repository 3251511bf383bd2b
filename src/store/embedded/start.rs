//! From an opened folder to a running store: the threads, and what ties them together.

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;

use super::blobs::Blobs;
use super::care::{Care, Chore, Door, Limits};
use super::domain::Domain;
use super::fatal::{self, Fatal};
use super::frame::Chain;
use super::hands::Hands;
use super::inbox::Inbox;
use super::keeper::{Keeper, Marks};
use super::options::Options;
use super::post::Post;
use super::recover::{self, Recovered, Shut};
use super::state::Head;
use super::store::{Inner, Threads};
use super::watch;
use super::writer::{Gauges, Ties, Writer};

/// Reads that run at the same time.
const READERS: usize = 4;

/// Starts the threads. From here on the journal is the writer's.
pub(super) fn start<D: Domain>(
    options: &Options,
    domain: D,
    found: Recovered,
) -> io::Result<Inner<D>> {
    let (data, disk) = (options.folder.clone(), options.disk.clone());
    let fatal = Fatal::new(Arc::clone(&options.on_fatal));
    if options.watch_panics {
        fatal::end_on_sled_panic(&fatal);
    }
    let blobs = Blobs::open(&data, &disk, &fatal)?;
    let (position, open_segment) = (found.journal.position(), found.journal.number());
    let store = found.identity.store;
    let head = Head::at(store, position);
    let marks = Arc::new(Marks::at(head));
    let gauges = Gauges::at(position.sequence);
    let (tell, keeper) = Keeper {
        data: data.clone(),
        disk: disk.clone(),
        state: found.state.clone(),
        marks: Arc::clone(&marks),
        boot_id: found.boot_id,
        stuck: options.stuck,
        fatal: Arc::clone(&fatal),
    }
    .start()?;
    let readers = Hands::start("lubu-reader", READERS)?;
    let inbox = Arc::new(Inbox::new());
    let stop = Arc::new(AtomicBool::new(false));
    let hands: Arc<Mutex<()>> = Arc::default();
    let former = found.identity.former.iter().map(|it| it.store).collect();
    let (tell_care, care) = Care {
        data: data.clone(),
        disk: disk.clone(),
        state: found.state.clone(),
        blobs: blobs.clone(),
        names: D::names,
        identity: found.identity,
        clock: Arc::clone(&options.clock),
        suspect: Arc::clone(&options.clock_suspect),
        limits: Limits::of(options),
        door: door(&inbox),
        fatal: Arc::clone(&fatal),
        stop: Arc::clone(&stop),
        hands: Arc::clone(&hands),
        closed: open_segment.saturating_sub(1),
        looked_ms: (options.clock)(),
        collected_ms: (options.clock)(),
    }
    .start()?;
    // What a process before us closed and did not come to compress.
    for number in recover::uncompressed(&data.join("journal"), open_segment, &disk)? {
        drop(tell_care.send(Chore::Closed(number)));
    }
    let post = Arc::new(Post::new());
    let ties = Ties {
        inbox: Arc::clone(&inbox),
        post: Arc::clone(&post),
        marks: Arc::clone(&marks),
        gauges: Arc::clone(&gauges),
        keeper: tell.clone(),
        care: tell_care.clone(),
        fatal: Arc::clone(&fatal),
    };
    let state = found.state.clone();
    let writer = Writer::new(
        options,
        domain,
        ties,
        store,
        found.journal,
        found.state,
        found.ballast,
    )?;
    let writer = thread::Builder::new()
        .name("lubu-writer".to_owned())
        .spawn(|| writer.run())?;
    // Without a watch nothing runs: the writer would keep sled open, and no later try could have it.
    let watch = watch::start(Arc::clone(&inbox), Arc::clone(&fatal), options.stuck)
        .inspect_err(|_| inbox.abandon())?;
    let threads = Mutex::new(Some(Threads {
        writer,
        keeper,
        care,
        watch,
        lock: found.lock,
    }));
    Ok(Inner {
        inbox,
        post,
        state,
        blobs,
        marks,
        gauges,
        fatal,
        readers,
        disk,
        data,
        keeper: tell,
        care: tell_care,
        stop,
        hands,
        former,
        clock: Arc::clone(&options.clock),
        threads,
        shut: None,
    })
}

/// The way of the store's own wishes to the writer.
fn door<D: Domain>(inbox: &Arc<Inbox<D>>) -> Door {
    let inbox = Arc::clone(inbox);
    Box::new(move |own| inbox.put_own(own))
}

/// A store without threads: whoever asks for anything but reading finds nobody.
pub(super) fn shut_down<D: Domain>(options: &Options, shut: Shut) -> io::Result<Inner<D>> {
    let (data, disk) = (options.folder.clone(), options.disk.clone());
    let fatal = Fatal::new(Arc::clone(&options.on_fatal));
    let blobs = Blobs::open(&data, &disk, &fatal)?;
    let head = shut.state.head().ok().flatten();
    let sequence = head.map_or(0, |head| head.sequence);
    let head = head.unwrap_or(Head {
        store: uuid::Uuid::nil(),
        sequence,
        chain: Chain([0; 32]),
    });
    let gauges = Gauges::at(sequence);
    let inbox = Arc::new(Inbox::new());
    inbox.close();
    Ok(Inner {
        inbox,
        post: Arc::new(Post::new()),
        state: shut.state,
        blobs,
        marks: Arc::new(Marks::at(head)),
        gauges,
        fatal,
        readers: Hands::start("lubu-reader", READERS)?,
        disk,
        data,
        keeper: channel().0,
        care: channel().0,
        stop: Arc::default(),
        hands: Arc::default(),
        former: Vec::new(),
        clock: Arc::clone(&options.clock),
        threads: Mutex::new(None),
        shut: shut.opened.damage.map(|damage| (damage, shut.lock)),
    })
}
