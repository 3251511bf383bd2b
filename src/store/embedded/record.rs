//! How one record lies in a value: version byte, postcard, CRC32 of both.
//!
//! The checksum is there because sled does not check what it gives back: a wrong one means that
//! the state must be rebuilt from the journal, never that the record is gone.

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The only version so far. A later one gets its own arm in [`decode`].
const VERSION: u8 = 1;

/// Reads after "failed to".
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    #[error("read a record: it is too short")]
    Short,
    #[error("read a record: its checksum is wrong")]
    Checksum,
    #[error("read a record: version {0} is not known to this program")]
    Version(u8),
    #[error("read a record: it does not have the shape that was asked for")]
    Shape,
    #[error("write a record: it cannot be encoded")]
    Encode,
}

pub fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = postcard::to_extend(value, vec![VERSION]).map_err(|_| RecordError::Encode)?;
    let sum = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    Ok(bytes)
}

pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, RecordError> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(RecordError::Short)?;
    if crc32fast::hash(body) != u32::from_le_bytes(*sum) {
        return Err(RecordError::Checksum);
    }
    match body.split_first().ok_or(RecordError::Short)? {
        (&VERSION, rest) => postcard::from_bytes(rest).map_err(|_| RecordError::Shape),
        (&other, _) => Err(RecordError::Version(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let bytes = encode(&(7_u64, "露布".to_owned())).unwrap();
        assert_eq!(decode::<(u64, String)>(&bytes), Ok((7, "露布".to_owned())));
    }

    #[test]
    fn every_flipped_bit_of_a_record_is_noticed() {
        let bytes = encode(&(7_u64, "露布".to_owned())).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                decode::<(u64, String)>(&bad),
                Err(RecordError::Checksum),
                "bit {bit}"
            );
        }
    }

    #[test]
    fn a_record_of_an_unknown_version_is_named_and_not_guessed() {
        let mut bytes = vec![9, 1, 2];
        let sum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        assert_eq!(decode::<u64>(&bytes), Err(RecordError::Version(9)));
        assert_eq!(decode::<u64>(&[1, 2]), Err(RecordError::Short));
    }
}
