//! A platform that lives in memory, answers by script, and breaks on demand.
//!
//! No sockets and no waiting: a fault is a decision about one request, so every way in which an
//! answer can get lost is tried at every step, and the platform's own state says afterwards what
//! really happened.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use http::{HeaderMap, HeaderValue};

use crate::contract::{Body, Clock, Reply, Request, Timestamp, Transport, Trouble};

/// Plays the platform: a request and the time, a reply.
pub type Answer = Box<dyn Fn(&Request, Timestamp) -> Reply + Send + Sync>;

/// Which requests a fault waits for.
pub type Matching = Box<dyn Fn(&Request) -> bool + Send + Sync>;

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Trick {
    /// The connection was never made.
    NotSent,
    /// The platform did it, its answer got lost.
    AppliedThenLost,
    /// The request got lost on its way, after some of it was sent.
    LostNotApplied,
    /// The platform did it and answered what is no JSON.
    Garbage(String),
    /// The platform did it; a gateway answered with a page and 200.
    Html,
    /// The platform did it; a gateway answered with this status.
    Status(u16),
    /// The platform did it; the answer points elsewhere.
    Redirect,
    /// The platform did it; the answer is larger than the cap.
    TooLarge,
    /// The platform did not see it; this is the answer. [`ECHO`] in it becomes the request itself.
    Instead(Reply),
}

/// Stands in the body of [`Trick::Instead`] for the whole request, its token and all.
pub const ECHO: &str = "{echo}";

struct Armed {
    matching: Matching,
    /// Fires when this many more requests have matched; 1 is the next one.
    nth: u32,
    trick: Trick,
}

#[derive(Default)]
struct State {
    log: Vec<Request>,
    armed: Vec<Armed>,
    fired: u32,
}

/// The transport of every case.
pub struct Peer {
    answer: Answer,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} requests)", self.log().len())
    }
}

impl Peer {
    pub fn new(clock: Arc<dyn Clock>, answer: Answer) -> Self {
        Self {
            answer,
            clock,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plays the trick on the `nth` request from now on that matches, once.
    pub fn arm(&self, matching: Matching, nth: u32, trick: Trick) {
        self.state().armed.push(Armed {
            matching,
            nth,
            trick,
        });
    }

    /// Forgets tricks that have not been played.
    pub fn disarm(&self) {
        self.state().armed.clear();
    }

    /// How many tricks have been played.
    pub fn fired(&self) -> u32 {
        self.state().fired
    }

    /// Every request so far, those that were never sent included.
    pub fn log(&self) -> Vec<Request> {
        self.state().log.clone()
    }

    fn record(&self, request: &Request) -> Option<Trick> {
        let mut state = self.state();
        state.log.push(request.clone());
        let due = state.armed.iter_mut().position(|armed| {
            let hit = (armed.matching)(request);
            armed.nth -= u32::from(hit);
            hit && armed.nth == 0
        })?;
        state.fired += 1;
        Some(state.armed.remove(due).trick)
    }
}

#[async_trait]
impl Transport for Peer {
    async fn send(&self, request: Request) -> Result<Reply, Trouble> {
        let trick = self.record(&request);
        let play = || (self.answer)(&request, self.clock.now());
        match trick {
            None => {
                let reply = play();
                if reply.body.len() > request.cap {
                    return Err(Trouble::TooLarge(request.cap));
                }
                Ok(reply)
            }
            Some(Trick::NotSent) => Err(Trouble::NotSent("connection refused".into())),
            Some(Trick::LostNotApplied) => Err(Trouble::Lost("connection reset".into())),
            Some(Trick::Instead(reply)) => Ok(echoed(reply, &request)),
            Some(applied) => {
                let _unseen = play();
                broken(applied, request.cap)
            }
        }
    }
}

/// Platforms do repeat what they were sent, in their errors.
fn echoed(mut reply: Reply, request: &Request) -> Reply {
    let body = String::from_utf8_lossy(&reply.body).into_owned();
    if body.contains(ECHO) {
        reply.body = body.replace(ECHO, &told(request)).into_bytes();
    }
    reply
}

/// Address, headers and text of a request, without anything that would break a JSON string.
fn told(request: &Request) -> String {
    let mut text = request.url.clone();
    for (name, value) in &request.headers {
        text.push_str(&format!(" {name}={value}"));
    }
    match &request.body {
        Body::Empty => {}
        Body::Bytes { bytes, .. } => text.push_str(&String::from_utf8_lossy(bytes)),
        Body::Multipart(parts) => {
            for part in parts.iter().filter(|part| part.file.is_none()) {
                text.push_str(&format!(" {}=", part.name));
                text.push_str(&String::from_utf8_lossy(&part.bytes));
            }
        }
    }
    text.chars()
        .map(|c| {
            if c.is_control() || "\"\\".contains(c) {
                ' '
            } else {
                c
            }
        })
        .collect()
}

fn broken(trick: Trick, cap: usize) -> Result<Reply, Trouble> {
    match trick {
        Trick::Garbage(text) => Ok(reply(200, text)),
        Trick::Html => Ok(reply(200, "<!doctype html><title>502</title>")),
        Trick::Status(status) => Ok(reply(status, "")),
        Trick::Redirect => {
            let mut moved = reply(302, "");
            let elsewhere = HeaderValue::from_static("https://login.example.com/");
            moved.headers.insert("location", elsewhere);
            Ok(moved)
        }
        Trick::TooLarge => Err(Trouble::TooLarge(cap)),
        Trick::AppliedThenLost | Trick::NotSent | Trick::LostNotApplied | Trick::Instead(_) => {
            Err(Trouble::Lost("timed out".into()))
        }
    }
}

/// A reply without headers.
pub fn reply(status: u16, body: impl Into<String>) -> Reply {
    Reply {
        status,
        headers: HeaderMap::new(),
        body: body.into().into_bytes(),
    }
}
