//! New items and new revisions: what is known already, and who gets which number.

use chrono::Datelike;
use serde::{Deserialize, Serialize};

use super::{Decided, Desk, header};
use crate::ids::ItemId;
use crate::model::item::{CorrectionNote, Item, Revision};
use crate::store::act::{Accept, Accepted, Actor, Answer, IndexRule, Refusal};
use crate::store::keys;

/// A submitter's key and what came with it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) item: ItemId,
    body: String,
}

impl Desk<'_> {
    /// True on disk afterwards: the item, its first revision, its key, its index number.
    pub(super) fn accept(&mut self, accept: Accept) -> Decided {
        if let Some(known) = self.known(&accept)? {
            let header = header(&accept.actor, "accept-known", Some(known.item));
            return Ok((header, Answer::Accepted(known)));
        }
        let Accept {
            actor,
            mut item,
            revision,
            key,
            index,
            ..
        } = accept;
        item.index_no = index
            .map(|rule| self.next_index(&rule, &item.category))
            .transpose()?;
        if let Some((key, body)) = key {
            let record = Key {
                item: item.id,
                body,
            };
            self.put(keys::idempotency(&key), &record, "key")?;
        }
        self.put(keys::content(&revision.hash), &item.id, "content")?;
        self.put(
            keys::revision(item.id, revision.number),
            &revision,
            "revision",
        )?;
        let accepted = Accepted {
            item: item.id,
            revision: revision.number,
            index_no: item.index_no.clone(),
            known: false,
        };
        let header = header(&actor, "accept", Some(item.id));
        self.put_item(item)?;
        Ok((header, Answer::Accepted(accepted)))
    }

    fn known(&self, accept: &Accept) -> Result<Option<Accepted>, Refusal> {
        if let Some((key, body)) = &accept.key {
            let before: Option<Key> = self.get(&keys::idempotency(key), "key")?;
            if let Some(before) = before {
                if before.body != *body {
                    return Err(Refusal::KeyReused(before.item));
                }
                return self.as_known(before.item).map(Some);
            }
        }
        if accept.again {
            return Ok(None);
        }
        let same: Option<ItemId> = self.get(&keys::content(&accept.revision.hash), "content")?;
        let Some(same) = same else { return Ok(None) };
        // What was withdrawn may be submitted anew.
        if self.item(same)?.withdrawal.is_some() {
            return Ok(None);
        }
        self.as_known(same).map(Some)
    }

    fn as_known(&self, id: ItemId) -> Result<Accepted, Refusal> {
        let Item {
            latest, index_no, ..
        } = self.item(id)?;
        Ok(Accepted {
            item: id,
            revision: latest,
            index_no,
            known: true,
        })
    }

    /// The next number of the year of formation; never given again (CAT-01, CAT-02).
    fn next_index(&mut self, rule: &IndexRule, class: &str) -> Result<String, Refusal> {
        let year = rule.formed_on.year();
        let key = keys::index(&rule.org, year);
        let last: u32 = self.get(&key, "index")?.unwrap_or_default();
        self.put(key, &(last + 1), "index")?;
        Ok(fill(rule, class, year, last + 1))
    }

    /// True on disk afterwards: the new revision, not yet approved.
    pub(super) fn revise(
        &mut self,
        actor: &Actor,
        mut revision: Revision,
        note: String,
        schedule: Option<String>,
    ) -> Decided {
        let mut item = self.item(revision.item)?;
        if item.withdrawal.is_some() {
            return Err(Refusal::Withdrawn);
        }
        let latest = self.revision(item.id, item.latest)?;
        if latest.hash == revision.hash {
            let known = self.as_known(item.id)?;
            return Ok((
                header(actor, "revise-known", Some(item.id)),
                Answer::Accepted(known),
            ));
        }
        revision.number = item.latest + 1;
        item.latest = revision.number;
        item.title.clone_from(&revision.title);
        item.schedule = schedule;
        item.corrections.push(CorrectionNote {
            revision: revision.number,
            at: self.now,
            note,
        });
        self.put(keys::content(&revision.hash), &item.id, "content")?;
        self.put(
            keys::revision(item.id, revision.number),
            &revision,
            "revision",
        )?;
        let accepted = Accepted {
            item: item.id,
            revision: revision.number,
            index_no: item.index_no.clone(),
            known: false,
        };
        let header = header(actor, "revise", Some(item.id));
        self.put_item(item)?;
        Ok((header, Answer::Accepted(accepted)))
    }
}

fn fill(rule: &IndexRule, class: &str, year: i32, seq: u32) -> String {
    let mut text = rule
        .template
        .replace("{org}", &rule.org)
        .replace("{class}", class)
        .replace("{year}", &year.to_string())
        .replace("{seq}", &seq.to_string());
    for width in 1..=9 {
        text = text.replace(&format!("{{seq:0{width}}}"), &format!("{seq:0width$}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cat_01_an_index_number_follows_its_template() {
        let rule = IndexRule {
            template: "{org}/{year}-{seq:05}".into(),
            org: "005452559".into(),
            formed_on: chrono::NaiveDate::from_ymd_opt(2026, 12, 30).unwrap(),
        };
        assert_eq!(fill(&rule, "0604", 2026, 42), "005452559/2026-00042");
    }
}
