//! What compiling one plugin may take.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::SettingsReader;
use crate::plugin_host::CompileLimits;

const SECONDS: RangeInclusive<u64> = 1..=86_400;
/// Below it nothing is compiled.
const MEBIBYTES: RangeInclusive<u64> = 64..=1_048_576;

impl SettingsReader<'_> {
    pub(super) fn compiling(&mut self) -> CompileLimits {
        let default = CompileLimits::default();
        let mut number = |name, what: &str, range: RangeInclusive<u64>| {
            self.parsed(name, |text| match text.parse::<u64>() {
                Ok(number) if range.contains(&number) => Ok(number),
                _ => Err(format!(
                    "must be a whole number{what} between {} and {}",
                    range.start(),
                    range.end()
                )),
            })
        };
        let cpu = number("EXTRACK_COMPILE_CPU", " of seconds", SECONDS);
        let wall_clock = number("EXTRACK_COMPILE_TIMEOUT", " of seconds", SECONDS);
        let memory = number("EXTRACK_COMPILE_MEMORY_MB", " of MiB", MEBIBYTES);
        let nice = number("EXTRACK_COMPILE_NICE", "", 0..=19);
        CompileLimits {
            cpu: cpu.map_or(default.cpu, Duration::from_secs),
            wall_clock: wall_clock.map_or(default.wall_clock, Duration::from_secs),
            memory_bytes: memory.map_or(default.memory_bytes, |mebibytes| mebibytes << 20),
            nice: nice
                .and_then(|nice| u8::try_from(nice).ok())
                .unwrap_or(default.nice),
        }
    }
}
