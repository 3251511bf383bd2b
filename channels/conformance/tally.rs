//! What an adapter asked to spend beyond its declared costs, and whether it may.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use crate::contract::{Cost, Purse};

#[derive(Debug, Default)]
pub struct Tally(Mutex<Book>);

#[derive(Debug, Default)]
struct Book {
    spent: Vec<Cost>,
    empty: bool,
}

impl Tally {
    /// Nothing more is granted.
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).empty = true;
    }

    /// What was granted since this was last asked.
    pub fn take(&self) -> Vec<Cost> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut book.spent)
    }
}

#[async_trait]
impl Purse for Tally {
    async fn spend(&self, cost: Cost) -> bool {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !book.empty {
            book.spent.push(cost);
        }
        !book.empty
    }
}
