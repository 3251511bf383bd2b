//! Ids, and how people write them.
//!
//! An item's id is a UUIDv7 without hyphens: time-ordered, so that the newest stand last in the
//! store, and made from a given time and chance, so that a test can foresee it. A delivery is the
//! pair (item, channel); people write it `0192…:wechat`, and any unique beginning of the item's id
//! will do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An item (信息).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ItemId([u8; 16]);

impl ItemId {
    /// `ms` since 1970 UTC; `chance` fills the rest.
    pub fn new(ms: i64, chance: [u8; 10]) -> Self {
        let ms = u64::try_from(ms).unwrap_or_default();
        Self(
            uuid::Builder::from_unix_timestamp_millis(ms, &chance)
                .into_uuid()
                .into_bytes(),
        )
    }

    /// Milliseconds since 1970 UTC at which it was made.
    pub fn made_ms(&self) -> i64 {
        let ms = self.0[..6].iter();
        ms.fold(0, |ms, byte| ms << 8 | i64::from(*byte))
    }

    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ItemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Not 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("read `{0}` as an item id: it must be 32 hexadecimal digits")]
pub struct BadId(String);

impl FromStr for ItemId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId(text.to_owned());
        if text.len() != 32 || !text.is_ascii() {
            return Err(bad());
        }
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(bytes))
    }
}

/// A channel's number in this store: given once, never to another account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChannelNo(pub u16);

/// A delivery (投递): one item on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DeliveryId {
    pub item: ItemId,
    pub channel: ChannelNo,
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.item, self.channel.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_sorts_by_time() {
        let early = ItemId::new(1_000, [7; 10]);
        let late = ItemId::new(2_000, [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse::<ItemId>(), Ok(early));
        assert_eq!((early.made_ms(), late.made_ms()), (1_000, 2_000));
    }

    #[test]
    fn what_is_no_id_is_refused() {
        for text in [
            "",
            "0192",
            "zz",
            "０１９２００００００００００００００００００００００００００００",
        ] {
            assert!(text.parse::<ItemId>().is_err(), "{text}");
        }
    }
}
