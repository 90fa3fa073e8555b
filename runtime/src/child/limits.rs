//! Limits of a child, which takes them on itself before it looks at anything, and can't take them
//! off again.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getppid, getrlimit, nice, setrlimit};
use serde::{Deserialize, Serialize};

/// How often a child looks whether its parent is still there.
const PARENT_CHECKED: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Limits {
    /// Address space on top of what the program itself takes.
    pub memory_bytes: u64,
    /// CPU time of all its threads together; whole seconds count.
    pub cpu: Duration,
    /// The parent ends it then.
    pub wall_clock: Duration,
    /// The largest file it may write.
    pub file_bytes: u64,
    /// Files that it has open at the same time; none: as many as its parent may.
    pub open_files: Option<u64>,
    /// Added to the niceness of the parent, 0 to 19: at 0 it is as urgent as its parent.
    pub nice: u8,
}

impl Limits {
    /// Limits the process that calls it, until its end. It also ends when its parent does.
    pub fn hold(&self) -> io::Result<()> {
        self.take()?;
        let parent = getppid();
        std::thread::Builder::new()
            .stack_size(64 << 10)
            .spawn(move || {
                while getppid() == parent {
                    std::thread::sleep(PARENT_CHECKED);
                }
                std::process::exit(1);
            })?;
        Ok(())
    }

    /// Limits the process that calls it, until its end.
    pub fn take(&self) -> io::Result<()> {
        let seconds = self.cpu.as_secs().max(1);
        // The soft one reports what happened, the hard one holds.
        lower(Resource::Cpu, seconds, seconds + 2)?;
        lower(Resource::Fsize, self.file_bytes, self.file_bytes)?;
        lower(Resource::Core, 0, 0)?;
        if let Some(files) = self.open_files {
            lower(Resource::Nofile, files, files)?;
        }
        let memory = taken_already().saturating_add(self.memory_bytes);
        // Some systems know it and refuse it; there only time and size hold.
        let _ = lower(Resource::As, memory, memory);
        if self.nice > 0 {
            let _ = nice(self.nice.into());
        }
        Ok(())
    }
}

/// Sets a limit; one that is lower already stays.
fn lower(resource: Resource, soft: u64, hard: u64) -> io::Result<()> {
    let most = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let limit = Rlimit {
        current: Some(soft.min(most)),
        maximum: Some(hard.min(most)),
    };
    Ok(setrlimit(resource, limit)?)
}

/// Address space of the program, its libraries and its first thread.
fn taken_already() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kibibytes.map_or(1 << 30, |kibibytes| kibibytes << 10)
}
