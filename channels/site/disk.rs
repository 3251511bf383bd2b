//! The folder that readers see: a file is there whole or not at all.
//!
//! Each file is written beside its place under another name, synced, renamed over it, and the
//! folder is synced, so that neither a crash nor a power cut shows half a page. The seam
//! [`Disk::before_rename`] exists for the test that proves it.

use std::fs::{self, File};
use std::io::{Error, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    /// Keeps two writers of one file apart.
    turn: AtomicU64,
    #[cfg(test)]
    pub break_before_rename: std::sync::atomic::AtomicBool,
}

impl Disk {
    pub fn new(root: PathBuf) -> Self {
        Self {
            root,
            turn: AtomicU64::new(0),
            #[cfg(test)]
            break_before_rename: std::sync::atomic::AtomicBool::new(false),
        }
    }

    fn at(&self, file: &str) -> PathBuf {
        self.root.join(file)
    }

    /// Once it returns, the whole content stands at its place on disk.
    pub fn write(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        self.put(file, bytes)?;
        self.sync_folder_of(file)
    }

    /// The same, but for the folder: whoever writes many files syncs it once.
    pub fn put(&self, file: &str, bytes: &[u8]) -> Result<(), Error> {
        let place = self.at(file);
        let folder = place.parent().unwrap_or(&self.root);
        match self.replace(&place, bytes) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.make_folder(folder)?;
                self.replace(&place, bytes)
            }
            other => other,
        }
    }

    pub fn sync_folder_of(&self, file: &str) -> Result<(), Error> {
        let place = self.at(file);
        sync_folder(place.parent().unwrap_or(&self.root))
    }

    fn replace(&self, place: &Path, bytes: &[u8]) -> Result<(), Error> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        let aside = place.with_file_name(format!(".{name}.{}-{turn}", std::process::id()));
        let written = File::create(&aside)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| self.before_rename())
            .and_then(|()| fs::rename(&aside, place));
        if written.is_err() {
            let _already_gone = fs::remove_file(&aside);
        }
        written
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "the seam")]
    fn before_rename(&self) -> Result<(), Error> {
        Ok(())
    }

    #[cfg(test)]
    fn before_rename(&self) -> Result<(), Error> {
        if self.break_before_rename.load(Ordering::SeqCst) {
            return Err(Error::other("the power went"));
        }
        Ok(())
    }

    /// Makes a folder with all above it, each one durable.
    fn make_folder(&self, folder: &Path) -> Result<(), Error> {
        fs::create_dir_all(folder)?;
        let above = folder.ancestors().skip(1);
        for parent in above.take_while(|parent| parent.starts_with(&self.root)) {
            sync_folder(parent)?;
        }
        Ok(())
    }

    /// Puts a file whose name is its content's: one that is there is right already. Whether it
    /// was put, and so its folder must be synced.
    pub fn put_once(&self, file: &str, bytes: &[u8]) -> Result<bool, Error> {
        let there = fs::metadata(self.at(file));
        if there.is_ok_and(|there| there.len() == bytes.len() as u64) {
            return Ok(false);
        }
        self.put(file, bytes)?;
        Ok(true)
    }

    pub fn is_there(&self, file: &str) -> Result<bool, Error> {
        self.at(file).try_exists()
    }

    /// `None` where there is no such file.
    pub fn read(&self, file: &str) -> Result<Option<Vec<u8>>, Error> {
        match fs::read(self.at(file)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes a file away; one that is not there is away already.
    pub fn remove(&self, file: &str) -> Result<(), Error> {
        match fs::remove_file(self.at(file)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The names in a folder; none where there is no such folder.
    pub fn names(&self, folder: &str) -> Result<Vec<String>, Error> {
        let entries = match fs::read_dir(self.at(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// Whether the folder can be written: makes it, and a file in it that goes again.
    pub fn probe(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.root)?;
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let probe = self
            .root
            .join(format!(".probe.{}-{turn}", std::process::id()));
        File::create(&probe)?;
        fs::remove_file(&probe)
    }

    /// A file for a reader, with its length and when it was written; never a folder.
    pub fn open(&self, file: &str) -> Result<(Vec<u8>, Option<std::time::SystemTime>), Error> {
        let mut file = File::open(self.at(file))?;
        let about = file.metadata()?;
        if !about.is_file() {
            return Err(ErrorKind::NotFound.into());
        }
        let mut bytes = Vec::with_capacity(usize::try_from(about.len()).unwrap_or_default());
        file.read_to_end(&mut bytes)?;
        Ok((bytes, about.modified().ok()))
    }
}

fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder)?.sync_all()
}
