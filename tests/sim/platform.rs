//! A platform with a ledger: what it was asked, what it did, and what readers could see when.
//!
//! It shares no code with lubu and never lies in its ledger; only its answers do. The judges ask the
//! ledger, never the daemon, what is public.

use std::collections::BTreeMap;
use std::time::Duration;

use lubu_channels::Timestamp;

use crate::person::EDITED;

/// What readers see of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub revision: u32,
    pub draft: String,
}

/// Who made an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A call of ours.
    Call,
    /// The platform itself, beside the one that a call asked for.
    Twin,
    /// Another tool of the same account.
    Other,
}

#[derive(Debug, Clone)]
pub struct Object {
    pub id: u32,
    pub item: String,
    pub origin: Origin,
    /// Content that no reader sees yet.
    pub staged: Option<Shown>,
    /// Became a post, or was deleted by its id: nothing brings it back.
    pub gone: bool,
    pub born: Timestamp,
    /// What readers saw from then on, oldest first.
    pub shows: Vec<(Timestamp, Option<Shown>)>,
}

impl Object {
    /// What readers saw at that time.
    pub fn at(&self, when: Timestamp) -> Option<&Shown> {
        let past = self.shows.iter().rev().find(|(from, _)| *from <= when);
        past.and_then(|(_, shown)| shown.as_ref())
    }

    pub fn now(&self) -> Option<&Shown> {
        self.shows.last().and_then(|(_, shown)| shown.as_ref())
    }

    fn show(&mut self, at: Timestamp, shown: Option<Shown>) {
        self.shows.push((at, shown));
    }
}

/// A change that a call asks for.
#[derive(Debug, Clone)]
pub enum Ask {
    /// A new invisible object.
    Stage { item: String, content: Shown },
    /// This object shows the content that is staged in another, or in itself.
    Flip { id: u32, from: u32 },
    /// A staged object becomes a new public one.
    Submit { id: u32 },
    /// A new public object; dropped when this key was applied within its window.
    Share {
        item: String,
        content: Shown,
        key: Option<(String, Duration)>,
    },
    /// What was accepted comes out, unless it was deleted meanwhile.
    Appear { id: u32, content: Shown },
    /// The one page of this item shows this.
    Put { item: String, content: Shown },
    /// These objects go, staged or public.
    Remove { ids: Vec<u32> },
    /// The page of this item goes; it can be written again.
    Clear { item: String },
}

#[derive(Debug, Default)]
pub struct Platform {
    pub objects: Vec<Object>,
    /// What is still on its way.
    coming: Vec<(Timestamp, Ask)>,
    keys: BTreeMap<String, (Timestamp, u32)>,
    /// Every change of what readers see: when, item, revision.
    pub changes: Vec<(Timestamp, String, Option<u32>)>,
    /// Its own time, where the daemon's may be another.
    pub time: Option<Timestamp>,
    /// The most that a daemon's time ever stood before it.
    pub ahead: chrono::TimeDelta,
}

impl Platform {
    pub fn later(&mut self, at: Timestamp, ask: Ask) {
        self.coming.push((at, ask));
    }

    /// When the next delayed request arrives.
    pub fn next(&self) -> Option<Timestamp> {
        self.coming.iter().map(|(at, _)| *at).min()
    }

    /// Lets everything arrive that is due.
    pub fn settle(&mut self, now: Timestamp) {
        while let Some(at) = self.next().filter(|at| *at <= now) {
            let place = self.coming.iter().position(|(due, _)| *due == at);
            let Some(place) = place else { return };
            let (at, ask) = self.coming.remove(place);
            self.apply(at, ask);
        }
    }

    /// Applies it twice, as no platform should. The second is the platform's own doing.
    pub fn double(&mut self, now: Timestamp, ask: &Ask) -> Option<u32> {
        let first = self.apply(now, ask.clone());
        let twin = match ask {
            Ask::Share { item, content, .. } => Some((item.clone(), content.clone())),
            Ask::Submit { .. } => first.and_then(|id| {
                let object = self.object(id)?;
                Some((object.item.clone(), object.now()?.clone()))
            }),
            Ask::Stage { item, content } => {
                let id = self.make(now, item, Origin::Twin);
                self.objects[id as usize].staged = Some(content.clone());
                None
            }
            // The same end state.
            Ask::Appear { .. }
            | Ask::Flip { .. }
            | Ask::Put { .. }
            | Ask::Remove { .. }
            | Ask::Clear { .. } => None,
        };
        if let Some((item, content)) = twin {
            let id = self.make(now, &item, Origin::Twin);
            self.show(now, id, Some(content));
        }
        first
    }

    /// Takes it at once, under an id, and shows it only then.
    pub fn accept(&mut self, now: Timestamp, at: Timestamp, ask: Ask) -> Option<u32> {
        let (item, content, key) = match ask {
            Ask::Share { item, content, key } => (item, content, key),
            Ask::Submit { id } => {
                let draft = self.live(id)?;
                draft.gone = true;
                let content = draft.staged.take()?;
                (draft.item.clone(), content, None)
            }
            other => {
                self.later(at, other);
                return None;
            }
        };
        if let Some(id) = self.keyed(now, key.as_ref()) {
            return Some(id);
        }
        let id = self.make(now, &item, Origin::Call);
        if let Some((key, _)) = key {
            self.keys.insert(key, (now, id));
        }
        self.later(at, Ask::Appear { id, content });
        Some(id)
    }

    /// What this key made within its window.
    fn keyed(&self, now: Timestamp, key: Option<&(String, Duration)>) -> Option<u32> {
        let (key, window) = key?;
        let (at, id) = self.keys.get(key)?;
        (now < *at + *window).then_some(*id)
    }

    /// The object that it made or changed.
    pub fn apply(&mut self, now: Timestamp, ask: Ask) -> Option<u32> {
        match ask {
            Ask::Stage { item, content } => {
                let id = self.make(now, &item, Origin::Call);
                self.objects[id as usize].staged = Some(content);
                Some(id)
            }
            Ask::Flip { id, from } => {
                let content = self.live(from)?.staged.clone()?;
                self.live(id)?;
                self.show(now, id, Some(content));
                Some(id)
            }
            Ask::Submit { id } => {
                let draft = self.live(id)?;
                let content = draft.staged.take()?;
                draft.gone = true;
                let item = draft.item.clone();
                let id = self.make(now, &item, Origin::Call);
                self.show(now, id, Some(content));
                Some(id)
            }
            Ask::Share { item, content, key } => {
                if let Some(id) = self.keyed(now, key.as_ref()) {
                    return Some(id);
                }
                let id = self.make(now, &item, Origin::Call);
                if let Some((key, _)) = key {
                    self.keys.insert(key, (now, id));
                }
                self.show(now, id, Some(content));
                Some(id)
            }
            Ask::Appear { id, content } => {
                self.live(id)?;
                self.show(now, id, Some(content));
                Some(id)
            }
            Ask::Put { item, content } => {
                let page = self.objects.iter().find(|object| object.item == item);
                let id = page.map(|object| object.id);
                let id = id.unwrap_or_else(|| self.make(now, &item, Origin::Call));
                self.show(now, id, Some(content));
                Some(id)
            }
            Ask::Remove { ids } => {
                for id in ids {
                    self.remove(now, id);
                }
                None
            }
            Ask::Clear { item } => {
                let pages = self.public(&item).map(|object| object.id);
                for id in pages.collect::<Vec<_>>() {
                    self.show(now, id, None);
                }
                None
            }
        }
    }

    fn make(&mut self, now: Timestamp, item: &str, origin: Origin) -> u32 {
        let id = u32::try_from(self.objects.len()).unwrap_or(u32::MAX);
        self.objects.push(Object {
            id,
            item: item.to_owned(),
            origin,
            staged: None,
            gone: false,
            born: now,
            shows: Vec::new(),
        });
        id
    }

    /// Another tool of the same account posts.
    pub fn other(&mut self, now: Timestamp) {
        let id = self.make(now, "", Origin::Other);
        let revision = 0;
        let draft = "somebody else's".to_owned();
        self.show(now, id, Some(Shown { revision, draft }));
    }

    /// Somebody changes a post by hand.
    pub fn edit(&mut self, now: Timestamp, id: u32) {
        if let Some(mut shown) = self.object(id).and_then(Object::now).cloned() {
            EDITED.clone_into(&mut shown.draft);
            self.show(now, id, Some(shown));
        }
    }

    /// Somebody deletes it by hand, whatever it is.
    pub fn take_away(&mut self, now: Timestamp, id: u32) {
        if self.object(id).is_some_and(|one| one.now().is_some()) {
            self.show(now, id, None);
        }
    }

    fn live(&mut self, id: u32) -> Option<&mut Object> {
        let object = self.objects.get_mut(id as usize)?;
        (!object.gone).then_some(object)
    }

    pub fn object(&self, id: u32) -> Option<&Object> {
        self.objects.get(id as usize)
    }

    pub fn remove(&mut self, now: Timestamp, id: u32) {
        let Some(object) = self.live(id) else { return };
        object.gone = true;
        if object.now().is_some() {
            self.show(now, id, None);
        }
    }

    fn show(&mut self, now: Timestamp, id: u32, shown: Option<Shown>) {
        let revision = shown.as_ref().map(|shown| shown.revision);
        let object = &mut self.objects[id as usize];
        let item = object.item.clone();
        object.show(now, shown);
        self.changes.push((now, item, revision));
    }

    pub fn of<'a>(&'a self, item: &'a str) -> impl Iterator<Item = &'a Object> {
        self.objects
            .iter()
            .filter(move |object| object.item == item)
    }

    /// Accepted and not out yet.
    pub fn is_coming(&self, id: u32) -> bool {
        let mut coming = self.coming.iter();
        let gone = self.object(id).is_some_and(|one| one.gone);
        !gone && coming.any(|(_, ask)| matches!(ask, Ask::Appear { id: one, .. } if *one == id))
    }

    /// What readers see of the item now.
    pub fn public<'a>(&'a self, item: &'a str) -> impl Iterator<Item = &'a Object> {
        self.of(item).filter(|object| object.now().is_some())
    }

    /// Copies that calls of ours made.
    pub fn copies(&self, item: &str) -> usize {
        let ours = |object: &&Object| object.origin == Origin::Call;
        self.public(item).filter(ours).count()
    }
}
