//! Closed segments in less space.
//!
//! The copy is read back against the original before the original goes. Where a death leaves both, the original counts,
//! and the copy is made again.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::disk::{Disk, DiskFile};
use super::segment::{compressed_path, plain_path};

/// What is read, packed and compared at once. A segment is never in memory whole here: this goes on beside the sending.
const PIECE: usize = 256 * 1024;

/// Compresses a closed segment, reads the copy back against the original, and only then removes the original.
pub(super) fn compress(disk: &Disk, journal: &Path, number: u64) -> io::Result<()> {
    let plain = plain_path(journal, number);
    match File::open(&plain) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => drop(other?),
    }
    pack(disk, journal, number, &mut || File::open(&plain))?;
    disk.remove(&plain)?;
    disk.sync_folder(journal)
}

/// Puts these bytes, compressed, in the place of whatever compressed file stood there. Durable once this returns.
pub(super) fn replace(disk: &Disk, journal: &Path, number: u64, bytes: &[u8]) -> io::Result<()> {
    pack(disk, journal, number, &mut || Ok(bytes))
}

/// `original` is opened twice: to be packed, and to be compared with what was packed.
fn pack<R: Read>(
    disk: &Disk,
    journal: &Path,
    number: u64,
    original: &mut dyn FnMut() -> io::Result<R>,
) -> io::Result<()> {
    let first = original()?;
    let temporary = journal.join("compressing.tmp");
    let file = disk.create(&temporary, 0)?;
    let kept = write(disk, &file, first)
        .and_then(|()| disk.sync(&file))
        .and_then(|()| compare(&temporary, original()?))
        .and_then(|()| disk.rename(&temporary, &compressed_path(journal, number)));
    if let Err(error) = kept {
        drop(disk.remove(&temporary));
        return Err(error);
    }
    disk.sync_folder(journal)
}

fn write(disk: &Disk, file: &DiskFile, mut original: impl Read) -> io::Result<()> {
    let mut packed = zstd::stream::Encoder::new(Vec::new(), 3)?;
    packed.include_checksum(true)?;
    let mut piece = vec![0; PIECE];
    let mut at = 0;
    let mut put = |packed: &mut Vec<u8>| -> io::Result<()> {
        disk.write_at(file, at, packed)?;
        at += packed.len() as u64;
        packed.clear();
        Ok(())
    };
    loop {
        let count = fill(&mut original, &mut piece)?;
        packed.write_all(&piece[..count])?;
        if packed.get_ref().len() >= PIECE {
            put(packed.get_mut())?;
        }
        if count < PIECE {
            return put(&mut packed.finish()?);
        }
    }
}

/// Whether the compressed file gives exactly the original.
fn compare(path: &Path, mut original: impl Read) -> io::Result<()> {
    let mut unpacked = zstd::stream::read::Decoder::new(BufReader::new(File::open(path)?))?;
    let (mut is, mut was) = (vec![0; PIECE], vec![0; PIECE]);
    loop {
        let count = fill(&mut unpacked, &mut is)?;
        let same = fill(&mut original, &mut was)? == count && is[..count] == was[..count];
        if !same {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the compressed copy differs",
            ));
        }
        if count < PIECE {
            return Ok(());
        }
    }
}

/// Less than a piece only at the end.
fn fill(from: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < piece.len() {
        match from.read(&mut piece[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}
