//! What the store claims, over a domain of plain keys and values.

mod kit;
mod opening;
