//! Closed segments in less space.
//!
//! The copy is read back against the original before the original goes. Where a death leaves both, the original counts,
//! and the copy is made again.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

use super::disk::Disk;
use super::segment::{compressed_path, plain_path};

/// Compresses a closed segment, reads the copy back against the original, and only then removes the original.
pub(super) fn compress(disk: &Disk, journal: &Path, number: u64) -> io::Result<()> {
    let plain = plain_path(journal, number);
    let bytes = match fs::read(&plain) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    replace(disk, journal, number, &bytes)?;
    disk.remove(&plain)?;
    disk.sync_folder(journal)
}

/// Puts these bytes, compressed, in the place of whatever compressed file stood there. Durable once this returns.
pub(super) fn replace(disk: &Disk, journal: &Path, number: u64, bytes: &[u8]) -> io::Result<()> {
    let mut packed = zstd::stream::Encoder::new(Vec::new(), 3)?;
    packed.include_checksum(true)?;
    packed.write_all(bytes)?;
    let packed = packed.finish()?;
    let temporary = journal.join("compressing.tmp");
    let file = disk.create(&temporary, 0)?;
    let kept = disk
        .write_at(&file, 0, &packed)
        .and_then(|()| disk.sync(&file))
        .and_then(|()| verify(&temporary, bytes))
        .and_then(|()| disk.rename(&temporary, &compressed_path(journal, number)));
    if let Err(error) = kept {
        drop(disk.remove(&temporary));
        return Err(error);
    }
    disk.sync_folder(journal)
}

/// Whether the compressed file gives exactly these bytes.
fn verify(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unpacked = zstd::stream::read::Decoder::new(BufReader::new(File::open(path)?))?;
    let mut piece = vec![0; 64 * 1024];
    let mut at = 0;
    loop {
        let count = unpacked.read(&mut piece)?;
        if count == 0 && at == bytes.len() {
            return Ok(());
        }
        if count == 0 || bytes.get(at..at + count) != Some(&piece[..count]) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the compressed copy differs",
            ));
        }
        at += count;
    }
}
