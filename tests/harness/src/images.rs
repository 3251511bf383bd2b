//! One image after a power cut: where the cut is, what is lost, and the process that opens it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::dice::Dice;
use crate::image::{Disk, Loss};
use crate::judge::{judge, pass_for_original};
use crate::notes::Said;
use crate::record::Record;
use crate::session::say;
use crate::trace::Trace;

/// Calls at the front of a trace that count as a new folder.
const FRESH: usize = 150;

/// One image: where the cut is, what is lost, under which boot it is opened.
#[derive(Clone, Debug)]
pub struct Case {
    pub cut: usize,
    pub model: &'static str,
    pub loss: Loss,
    pub boot: String,
    pub same_boot: bool,
    dice: Dice,
}

impl Case {
    pub fn draw(trace: &Trace, seed: u64, number: u64) -> Self {
        let mut dice = Dice::part(seed, number);
        let model = Loss::MODELS[usize::try_from(number).unwrap_or(0) % Loss::MODELS.len()];
        let cut = draw_cut(trace, &mut dice);
        let loss = Loss::of(model, &mut dice);
        let same_boot = loss.is_none() && dice.percent(60);
        let last = trace
            .lines(cut)
            .rev()
            .find_map(|line| line.strip_prefix("BOOT "));
        let boot = match last {
            Some(boot) if same_boot => boot.to_owned(),
            _ => "boot-after".to_owned(),
        };
        Self {
            cut,
            model,
            loss,
            boot,
            same_boot,
            dice,
        }
    }

    pub fn make(&mut self, trace: &Trace, at: &Path) -> std::io::Result<()> {
        let image = Disk::after(&trace.records[..self.cut]).lose(self.loss, &mut self.dice);
        image.write(at)?;
        pass_for_original(&at.join("data"))
    }

    pub fn said(&self, trace: &Trace) -> Said {
        Said::from_lines(trace.lines(self.cut))
    }
}

fn draw_cut(trace: &Trace, dice: &mut Dice) -> usize {
    let records = &trace.records;
    let after = |wanted: &dyn Fn(&Record) -> bool| -> Vec<usize> {
        let at = records
            .iter()
            .enumerate()
            .filter(|(_, record)| wanted(record));
        at.map(|(index, _)| index + 1).collect()
    };
    let places = match dice.below(100) {
        0..35 => after(&|record| matches!(record, Record::Sync { .. } | Record::SyncFolder { .. })),
        35..60 => {
            after(&|record| matches!(record, Record::Said { line } if line.starts_with("ACK ")))
        }
        60..80 => (0..records.len().min(FRESH)).collect(),
        _ => Vec::new(),
    };
    let anywhere = dice.index(records.len() + 1);
    dice.pick(&places).copied().unwrap_or(anywhere)
}

/// The process that opens images; what it says is read by the row.
#[derive(Clone, Debug, clap::Args)]
pub struct Images {
    #[arg(long)]
    pub trace: PathBuf,
    #[arg(long)]
    pub seed: u64,
    /// The number of the first image.
    #[arg(long)]
    pub first: u64,
    #[arg(long, default_value_t = 1)]
    pub count: u64,
    #[arg(long)]
    pub folder: PathBuf,
    /// The first image lies there already and is started once more.
    #[arg(long)]
    pub again: bool,
    /// Leave the last image where it is.
    #[arg(long)]
    pub leave: bool,
}

impl Images {
    pub fn run(&self) -> Result<(), String> {
        let trace = Trace::read(&self.trace).map_err(|error| error.to_string())?;
        for number in self.first..self.first + self.count {
            let mut case = Case::draw(&trace, self.seed, number);
            say(&format!("START {number}"));
            if !(self.again && number == self.first) {
                drop(fs::remove_dir_all(&self.folder));
                case.make(&trace, &self.folder)
                    .map_err(|error| error.to_string())?;
            }
            let data = self.folder.join("data");
            let (cut, model, boot) = (case.cut, case.model, case.boot.as_str());
            match judge(&data, boot, self.seed, &case.said(&trace)) {
                Ok(verdict) => {
                    let same = if case.same_boot {
                        "same boot"
                    } else {
                        "reboot"
                    };
                    let rebuilt = verdict.rebuilt.as_deref().unwrap_or("believed");
                    say(&format!(
                        "GOOD {number} {}|{}|{model}, {same}|{rebuilt}|{}",
                        verdict.open_ms, verdict.acts, verdict.cut
                    ));
                }
                Err(why) => say(&format!(
                    "BAD {number} {model} at call {cut} ({boot}): {why}"
                )),
            }
        }
        if !self.leave {
            drop(fs::remove_dir_all(&self.folder));
        }
        Ok(())
    }
}
