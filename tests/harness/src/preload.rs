//! Putting the preloaded library in front of a process.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library, and where it is to look.
#[derive(Clone, Debug)]
pub struct Preload {
    library: PathBuf,
    under: PathBuf,
    trace: Option<PathBuf>,
    full: Option<PathBuf>,
}

impl Preload {
    /// It lies beside this program. `under` must be there.
    pub fn over(under: &Path) -> Result<Self, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let library = me.with_file_name("liblubu_preload.so");
        if !library.exists() {
            return Err(format!(
                "{} is missing: build -p lubu-preload",
                library.display()
            ));
        }
        let under = under.canonicalize().map_err(|error| error.to_string())?;
        Ok(Self {
            library,
            under,
            trace: None,
            full: None,
        })
    }

    #[must_use]
    pub fn trace(mut self, to: &Path) -> Self {
        self.trace = Some(to.to_owned());
        self
    }

    /// While this file is there, the disk has as many bytes left as it says.
    #[must_use]
    pub fn full(mut self, by: &Path) -> Self {
        self.full = Some(by.to_owned());
        self
    }

    pub fn watch(&self, command: &mut Command, plan: &str) {
        command.env("LD_PRELOAD", &self.library);
        command.env("TORTURE_UNDER", &self.under);
        command.env("TORTURE_PLAN", plan);
        if let Some(trace) = &self.trace {
            command.env("TORTURE_TRACE", trace);
        }
        if let Some(full) = &self.full {
            command.env("TORTURE_FULL", full);
        }
    }
}
