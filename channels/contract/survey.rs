//! What a platform shows of an account, whoever put it there.
//!
//! A look asks after one post of ours; a survey asks which posts there are. It is how a machine that was set
//! back to an earlier state without being told can find out: its own records agree with each other, and only the
//! platform knows what was sent since. Bounded: the newest rows, since what was sent since a copy of last night
//! or last week stands first.

use super::{Timestamp, Words};

/// The answer to a survey.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Surveyed {
    /// The newest posts that are ours or may be; in no order.
    Posts(Vec<Posted>),
    /// The account has no right to the list.
    CannotTell(Words),
}

/// One post of the account, as a list names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// As in [`super::Seen::remote_id`].
    pub remote_id: String,
    pub address: Option<String>,
    /// When it was published, by the platform's clock.
    pub at: Option<Timestamp>,
    /// Its title, or how its text begins.
    pub title: String,
    pub sign: Sign,
    pub stands: Stands,
}

/// By what a post can be told for ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// It names the item.
    Item(String),
    /// The address of the original that it links to. Whether that is an item's page is not the adapter's to say.
    Link(String),
    /// Nothing but what it says, which [`super::Surveys::reads_as`] compares.
    Text {
        /// The platform's text as it is compared.
        essence: String,
        /// It was made through the office's own app, which makes nothing else.
        own_app: bool,
    },
}

/// What readers get of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stands {
    Public,
    /// A notice in its place: it was public once.
    Notice,
    /// Nothing yet; a person can publish it with one hand.
    Draft,
}
