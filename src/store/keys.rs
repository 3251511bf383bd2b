//! Where each record stands: one tree, one letter a kind.

use crate::ids::{ChannelNo, DeliveryId, ItemId};

pub const ITEMS: &[u8] = b"i";
pub const DELIVERIES: &[u8] = b"d";
pub const CHANNELS: &[u8] = b"c";
pub const SUBMITTERS: &[u8] = b"k";
pub const CONTENTS: &[u8] = b"h";
pub const REVISIONS: &[u8] = b"r";
pub const APPROVALS: &[u8] = b"a";
/// What is on record of published copies that are not simply well.
pub const WATCHES: &[u8] = b"f";
/// The last pass over each channel.
pub const PATROLS: &[u8] = b"v";

/// What surveys found on each channel.
pub const CENSUSES: &[u8] = b"p";

/// Every delivery that is not at rest: a start reads these, however many are finished. Those of one item share a
/// key by sixteens, a bit for each channel: what is published everywhere within a moment changes one key, not many.
pub const UNSETTLED: &[u8] = b"m";
/// The same as the first stores that kept it had it: an empty record for each.
pub const FIRST_UNSETTLED: &[u8] = b"u";
/// Stands there once [`UNSETTLED`] is whole.
pub const ALL_UNSETTLED: &[u8] = b"y";
/// Stands there while [`FIRST_UNSETTLED`] is whole: in a store that an older lubu wrote last. The first stores had neither.
pub const FIRST_ALL_UNSETTLED: &[u8] = b"x";

/// Stands there while the folder is not adopted.
pub const WITHHELD: &[u8] = b"w";

fn join(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = vec![kind];
    for part in parts {
        key.extend_from_slice(part);
    }
    key
}

pub fn item(id: ItemId) -> Vec<u8> {
    join(b'i', &[id.bytes()])
}

pub fn revision(id: ItemId, number: u32) -> Vec<u8> {
    join(b'r', &[id.bytes(), &number.to_be_bytes()])
}

pub fn revisions(id: ItemId) -> Vec<u8> {
    join(b'r', &[id.bytes()])
}

/// The approval in force for a revision.
pub fn approval(id: ItemId, number: u32) -> Vec<u8> {
    join(b'a', &[id.bytes(), &number.to_be_bytes()])
}

pub fn delivery(id: DeliveryId) -> Vec<u8> {
    join(b'd', &[id.item.bytes(), &id.channel.0.to_be_bytes()])
}

const SIXTEEN: u16 = 16;

/// Where a delivery's bit stands.
pub fn unsettled(id: DeliveryId) -> Vec<u8> {
    let sixteen = id.channel.0 / SIXTEEN;
    join(b'm', &[id.item.bytes(), &sixteen.to_be_bytes()])
}

/// A delivery's bit among its sixteen.
pub fn unsettled_bit(id: DeliveryId) -> u16 {
    1 << (id.channel.0 % SIXTEEN)
}

/// Whose bits are set in such a record.
pub fn unsettled_in(key: &[u8], bits: u16) -> impl Iterator<Item = DeliveryId> + use<> {
    let first = delivery_under(UNSETTLED, key);
    (0..SIXTEEN).filter_map(move |at| {
        let DeliveryId { item, channel } = first?;
        let channel = ChannelNo(channel.0.checked_mul(SIXTEEN)?.checked_add(at)?);
        (bits & (1 << at) != 0).then_some(DeliveryId { item, channel })
    })
}

pub fn first_unsettled(id: DeliveryId) -> Vec<u8> {
    join(b'u', &[id.item.bytes(), &id.channel.0.to_be_bytes()])
}

/// Who is named by one of the first stores' marks.
pub fn first_unsettled_of(key: &[u8]) -> Option<DeliveryId> {
    delivery_under(FIRST_UNSETTLED, key)
}

pub fn deliveries(item: ItemId) -> Vec<u8> {
    join(b'd', &[item.bytes()])
}

pub fn watch(id: DeliveryId) -> Vec<u8> {
    join(b'f', &[id.item.bytes(), &id.channel.0.to_be_bytes()])
}

pub fn watches(item: ItemId) -> Vec<u8> {
    join(b'f', &[item.bytes()])
}

pub fn patrol(number: ChannelNo) -> Vec<u8> {
    join(b'v', &[&number.0.to_be_bytes()])
}

pub fn census(number: ChannelNo) -> Vec<u8> {
    join(b'p', &[&number.0.to_be_bytes()])
}

/// Whose record a delivery's key names, without reading it.
pub fn delivery_of(key: &[u8]) -> Option<DeliveryId> {
    delivery_under(DELIVERIES, key)
}

fn delivery_under(letter: &[u8], key: &[u8]) -> Option<DeliveryId> {
    let rest = key.strip_prefix(letter)?;
    let (item, channel) = rest.split_first_chunk::<16>()?;
    Some(DeliveryId {
        item: ItemId::from_bytes(*item),
        channel: ChannelNo(u16::from_be_bytes(channel.try_into().ok()?)),
    })
}

pub fn channel(number: ChannelNo) -> Vec<u8> {
    join(b'c', &[&number.0.to_be_bytes()])
}

/// A person's order to send nothing.
pub const STOP_ORDER: &[u8] = b"o";

/// The last time that a person's word on the clock set time.
pub const SET_BACK: &[u8] = b"t";

/// A submitter's key lives as long as its item.
pub fn idempotency(key: &str) -> Vec<u8> {
    join(b'k', &[blake3::hash(key.as_bytes()).as_bytes()])
}

/// Which item has this content.
pub fn content(hash: &str) -> Vec<u8> {
    join(b'h', &[hash.as_bytes()])
}

/// What is used of a quota of an account in one window.
pub fn quota(account: &str, name: &str, window: &str) -> Vec<u8> {
    join(
        b'q',
        &[
            account.as_bytes(),
            b"\0",
            name.as_bytes(),
            b"\0",
            window.as_bytes(),
        ],
    )
}

/// Small drafts that travelled in their approval's act. By item first: they are many bytes, and keys
/// that come in order cost the state a fraction of scattered ones.
pub fn drafts(id: ItemId, revision: u32, hash: &str) -> Vec<u8> {
    let revision = revision.to_be_bytes();
    join(b'b', &[id.bytes(), &revision, hash.as_bytes()])
}

/// As the first records had it: by the hash alone.
pub fn first_drafts(hash: &str) -> Vec<u8> {
    join(b'b', &[hash.as_bytes()])
}

/// Whether a key begins with this item, after its letter.
pub fn is_under(item: ItemId, key: &[u8]) -> bool {
    let letter = key
        .first()
        .is_some_and(|letter| b"iradbfum".contains(letter));
    letter && key.get(1..17) == Some(item.bytes().as_slice())
}

/// The hash in such a key.
pub fn drafts_hash(key: &[u8]) -> Option<&str> {
    const HASH: usize = 64;
    let rest = key.strip_prefix(b"b")?;
    let at = rest.len().checked_sub(HASH)?;
    std::str::from_utf8(&rest[at..]).ok()
}

/// The last index number given in a year.
pub fn index(org: &str, year: i32) -> Vec<u8> {
    join(b'n', &[org.as_bytes(), b"\0", &year.to_be_bytes()])
}

/// A schedule's run of one period.
pub fn run(schedule: &str, period: &str) -> Vec<u8> {
    join(b's', &[schedule.as_bytes(), b"\0", period.as_bytes()])
}

pub fn runs(schedule: &str) -> Vec<u8> {
    join(b's', &[schedule.as_bytes(), b"\0"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_channels_of_an_item_share_a_record_and_each_has_its_own_bit() {
        let id = |channel| DeliveryId {
            item: ItemId::new(1, [7; 10]),
            channel: ChannelNo(channel),
        };
        assert_eq!(unsettled(id(0)), unsettled(id(15)));
        assert_ne!(unsettled(id(15)), unsettled(id(16)));
        for channels in [vec![0, 3, 15], vec![16, 31], vec![65_535]] {
            let ids: Vec<DeliveryId> = channels.into_iter().map(id).collect();
            let bits = ids.iter().map(|id| unsettled_bit(*id)).sum::<u16>();
            let found = unsettled_in(&unsettled(ids[0]), bits);
            assert_eq!(found.collect::<Vec<_>>(), ids);
        }
        assert_eq!(unsettled_in(b"m", 1).count(), 0);
    }
}
