//! Measures of what the machine has left for more runs. A measure that can't be taken limits nothing.

/// Memory that can be had without swapping, by the machine and by the control group of the program.
pub(super) fn memory_bytes() -> Option<u64> {
    let of_machine = read("/proc/meminfo").and_then(|text| available(&text));
    let number = |path: &str| read(path)?.trim().parse::<u64>().ok();
    let (most, used) = (
        number("/sys/fs/cgroup/memory.max"),
        number("/sys/fs/cgroup/memory.current"),
    );
    let of_group = most.zip(used).map(|(most, used)| most.saturating_sub(used));
    of_machine.into_iter().chain(of_group).min()
}

/// The program's limit of open files, sockets among them.
pub(in crate::monitoring) fn open_files() -> Option<usize> {
    soft_limit(&read("/proc/self/limits")?)
}

fn read(path: &str) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()?
        .checked_mul(1_024)
}

fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_kernel_writes() {
        assert_eq!(
            available("MemTotal:  8 kB\nMemAvailable:    3456 kB\nBuffers: 1 kB\n"),
            Some(3_456 << 10)
        );
        assert_eq!(available("MemTotal:  8 kB\n"), None);
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \n\
                      Max open files            1024                 524288               files     \n";
        assert_eq!(soft_limit(limits), Some(1_024));
        assert_eq!(
            soft_limit("Max open files   unlimited unlimited files\n"),
            None
        );
    }
}
