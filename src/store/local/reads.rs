//! Reading the state: records by key and in order, and what is found by walking over them.

use serde::de::DeserializeOwned;

use crate::ids::{ChannelNo, DeliveryId};
use crate::model::delivery::Delivery;
use crate::store::embedded::{Order, Reader, Scan, record};
use crate::store::{StoreError, Stored, Stretch, keys};

pub(super) fn unread(error: impl std::fmt::Display) -> StoreError {
    StoreError::Unread(error.to_string())
}

pub(super) fn get<T: DeserializeOwned>(reader: &Reader<'_>, key: &[u8]) -> Stored<Option<T>> {
    let Some(value) = reader.get(key).map_err(unread)? else {
        return Ok(None);
    };
    record::decode(&value).map(Some).map_err(unread)
}

pub(super) fn scan<T: DeserializeOwned>(reader: &Reader<'_>, scan: &Scan<'_>) -> Stored<Vec<T>> {
    let pairs = reader.scan_prefix(scan).map_err(unread)?;
    pairs
        .iter()
        .map(|(_, value)| record::decode(value).map_err(unread))
        .collect()
}

pub(super) fn all<T: DeserializeOwned>(reader: &Reader<'_>, prefix: &[u8]) -> Stored<Vec<T>> {
    scan(
        reader,
        &Scan {
            prefix,
            after: None,
            limit: usize::MAX,
            order: Order::Forward,
        },
    )
}

/// How a store keeps which deliveries are not at rest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Noted {
    Not,
    /// A key for each, as the first stores that kept them.
    Each,
    BySixteens,
}

fn noted(reader: &Reader<'_>) -> Stored<Noted> {
    let stands = |key| Ok(reader.get(key).map_err(unread)?.is_some());
    // An older lubu knows only its own, and has written since if it stands there.
    Ok(if stands(keys::FIRST_ALL_UNSETTLED)? {
        Noted::Each
    } else if stands(keys::ALL_UNSETTLED)? {
        Noted::BySixteens
    } else {
        Noted::Not
    })
}

pub(super) fn scan_keys(reader: &Reader<'_>, prefix: &[u8]) -> Stored<Vec<Vec<u8>>> {
    let pairs = reader.scan_prefix(&Scan {
        prefix,
        after: None,
        limit: usize::MAX,
        order: Order::Forward,
    });
    let pairs = pairs.map_err(unread)?;
    Ok(pairs.iter().map(|(key, _)| key.to_vec()).collect())
}

/// Every delivery that is not at rest, without reading the others.
pub(super) fn unsettled(reader: &Reader<'_>) -> Stored<Vec<Delivery>> {
    if noted(reader)? != Noted::BySixteens {
        return filtered(reader, |one| !one.public_state().at_rest());
    }
    let mut found = Vec::new();
    for id in by_sixteens(reader)? {
        let delivery: Option<Delivery> = get(reader, &keys::delivery(id))?;
        // Finished or erased since the keys were read.
        found.extend(delivery.filter(|one| !one.public_state().at_rest()));
    }
    Ok(found)
}

fn by_sixteens(reader: &Reader<'_>) -> Stored<Vec<DeliveryId>> {
    let whole = Scan {
        prefix: keys::UNSETTLED,
        after: None,
        limit: usize::MAX,
        order: Order::Forward,
    };
    let mut ids = Vec::new();
    for (key, value) in reader.scan_prefix(&whole).map_err(unread)? {
        let bits = record::decode(&value).map_err(unread)?;
        ids.extend(keys::unsettled_in(&key, bits));
    }
    Ok(ids)
}

/// The deliveries not at rest in a store that does not keep them as now; none where there is nothing to learn.
pub(super) fn missing(reader: &Reader<'_>) -> Stored<Option<Vec<DeliveryId>>> {
    match noted(reader)? {
        Noted::BySixteens => Ok(None),
        Noted::Each => {
            let marks = scan_keys(reader, keys::FIRST_UNSETTLED)?;
            let ids = marks.iter().filter_map(|key| keys::first_unsettled_of(key));
            // Bits of before that older lubu ran may say what has come to rest since.
            let mut ids: Vec<DeliveryId> = ids.chain(by_sixteens(reader)?).collect();
            ids.sort_unstable();
            ids.dedup();
            Ok(Some(ids))
        }
        Noted::Not if scan_keys(reader, keys::CHANNELS)?.is_empty() => Ok(None),
        Noted::Not => {
            let found = filtered(reader, |one| !one.public_state().at_rest())?;
            Ok(Some(found.iter().map(|one| one.id).collect()))
        }
    }
}

/// Every delivery for which `keep` holds, a page at a time.
pub(super) fn filtered(
    reader: &Reader<'_>,
    keep: impl Fn(&Delivery) -> bool,
) -> Stored<Vec<Delivery>> {
    let mut kept = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = reader
            .scan_prefix(&Scan {
                prefix: keys::DELIVERIES,
                after: after.as_deref(),
                limit: 1000,
                order: Order::Forward,
            })
            .map_err(unread)?;
        let Some((last, _)) = page.last() else {
            return Ok(kept);
        };
        after = Some(last.to_vec());
        for (_, value) in &page {
            let delivery: Delivery = record::decode(value).map_err(unread)?;
            if keep(&delivery) {
                kept.push(delivery);
            }
        }
    }
}

/// Records read for one stretch, whoever's they are.
const STRETCH: usize = 1000;

/// Other channels' records are told by their keys and not read.
pub(super) fn stretch(
    reader: &Reader<'_>,
    channel: ChannelNo,
    before: Option<DeliveryId>,
    keep: impl Fn(&Delivery) -> bool,
) -> Stored<Stretch> {
    let after = before.map(keys::delivery);
    let page = reader
        .scan_prefix(&Scan {
            prefix: keys::DELIVERIES,
            after: after.as_deref(),
            limit: STRETCH,
            order: Order::Reverse,
        })
        .map_err(unread)?;
    let mut stretch = Stretch::default();
    for (key, value) in &page {
        let id = keys::delivery_of(key);
        stretch.next = id;
        if id.is_some_and(|id| id.channel == channel) {
            let delivery: Delivery = record::decode(value).map_err(unread)?;
            stretch
                .deliveries
                .extend(keep(&delivery).then_some(delivery));
        }
    }
    stretch.next = stretch.next.filter(|_| page.len() == STRETCH);
    Ok(stretch)
}

/// The key prefix of whole bytes that a beginning of an id covers.
pub(super) fn item_prefix(beginning: &str) -> Option<Vec<u8>> {
    let hex = beginning.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !hex || beginning.len() > 32 {
        return None;
    }
    let mut prefix = keys::ITEMS.to_vec();
    for at in (0..beginning.len() / 2).map(|at| at * 2) {
        prefix.push(u8::from_str_radix(&beginning[at..at + 2], 16).ok()?);
    }
    Some(prefix)
}
