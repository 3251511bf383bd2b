//! What is printed at the end: one line a row, and what fell short.

use std::collections::BTreeMap;
use std::fmt;

/// What one row came to.
#[derive(Clone, Debug)]
pub struct Row {
    pub name: &'static str,
    /// What was done, with its number.
    pub figure: String,
    pub promise: &'static str,
    pub seed: u64,
    /// Empty if the promise was kept.
    pub broken: Vec<String>,
    /// What shows that the row tried what it says.
    pub notes: Vec<String>,
}

impl Row {
    pub fn kept(&self) -> bool {
        self.broken.is_empty()
    }

    pub fn line(&self) -> String {
        let result = match self.broken.len() {
            0 => "kept".to_owned(),
            count => format!("BROKEN ({count})"),
        };
        format!(
            "{:<10} | {:<45} | {:<72} | {:<11} | seed {}",
            self.name, self.figure, self.promise, result, self.seed
        )
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line())?;
        for note in &self.notes {
            writeln!(f, "{:<10} |   {note}", "")?;
        }
        for broken in self.broken.iter().take(12) {
            writeln!(f, "{:<10} | ! {broken}", "")?;
        }
        Ok(())
    }
}

/// How often each thing was seen.
pub type Tally = BTreeMap<String, usize>;

pub fn count(tally: &mut Tally, what: &str) {
    *tally.entry(what.to_owned()).or_default() += 1;
}

pub fn listed(tally: &Tally) -> String {
    let words: Vec<String> = tally
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    words.join(", ")
}
