//! Limits of a child, which takes them on itself before it looks at anything, and can't take them
//! off again.

use std::io;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getppid, nice, setrlimit};
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
    /// Added to the niceness of the parent, 0 to 19: at 0 it is as urgent as its parent.
    pub nice: u8,
}

impl Limits {
    /// Limits the process that calls it, until its end. It also ends when its parent does.
    pub fn hold(&self) -> io::Result<()> {
        let most = |most: u64, hard: u64| Rlimit {
            current: Some(most),
            maximum: Some(hard),
        };
        let seconds = self.cpu.as_secs().max(1);
        // The soft one reports what happened, the hard one holds.
        setrlimit(Resource::Cpu, most(seconds, seconds + 2))?;
        setrlimit(Resource::Fsize, most(self.file_bytes, self.file_bytes))?;
        setrlimit(Resource::Core, most(0, 0))?;
        let memory = taken_already().saturating_add(self.memory_bytes);
        // Some systems know it and refuse it; there only time and size hold.
        let _ = setrlimit(Resource::As, most(memory, memory));
        if self.nice > 0 {
            let _ = nice(self.nice.into());
        }
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
}

/// Address space of the program, its libraries and its first thread.
fn taken_already() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
    let kibibytes = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kibibytes.map_or(1 << 30, |kibibytes| kibibytes << 10)
}
