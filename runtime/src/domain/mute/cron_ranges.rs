//! Ranges of a cron schedule that go over the end, as people write them: `FRI-MON`, `NOV-FEB`,
//! `22-4`. The parser knows only those that go up, so each becomes a list.

const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const MONTHS: [&str; 12] = [
    "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
];

struct Field {
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

/// Minute, hour, day of the month, month, day of the week.
const FIELDS: [Field; 5] = [
    Field {
        least: 0,
        most: 59,
        names: &[],
    },
    Field {
        least: 0,
        most: 23,
        names: &[],
    },
    Field {
        least: 1,
        most: 31,
        names: &[],
    },
    Field {
        least: 1,
        most: 12,
        names: &MONTHS,
    },
    Field {
        least: 0,
        most: 6,
        names: &WEEKDAYS,
    },
];

/// The schedule with such ranges written out; what is no range of this kind stays as it is, right
/// or wrong.
pub(super) fn written_out(schedule: &str) -> String {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return schedule.to_owned();
    }
    let fields = fields.iter().zip(&FIELDS).map(|(text, field)| {
        let items = text
            .split(',')
            .map(|item| field.list(item).unwrap_or_else(|| item.to_owned()));
        items.collect::<Vec<_>>().join(",")
    });
    fields.collect::<Vec<_>>().join(" ")
}

impl Field {
    /// Returns the list of a range that goes over the end; none for anything else.
    fn list(&self, item: &str) -> Option<String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (item, 1),
        };
        let (first, last) = range.split_once('-')?;
        let (first, last) = (self.number(first)?, self.number(last)?);
        if first <= last {
            return None;
        }
        let values = (first..=self.most).chain(self.least..=last).step_by(step);
        Some(
            values
                .map(|value| value.to_string())
                .collect::<Vec<_>>()
                .join(","),
        )
    }

    fn number(&self, text: &str) -> Option<u32> {
        let named = self
            .names
            .iter()
            .position(|name| text.eq_ignore_ascii_case(name));
        let number = match named {
            Some(position) => self.least + u32::try_from(position).ok()?,
            None => text.parse().ok()?,
        };
        (self.least..=self.most).contains(&number).then_some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_over_the_end_is_a_list_and_everything_else_stays() {
        for (schedule, wanted) in [
            ("0 2 * * FRI-MON", "0 2 * * 5,6,0,1"),
            ("0 2 * * fri-1,3", "0 2 * * 5,6,0,1,3"),
            ("0 22-4/2 * * *", "0 22,0,2,4 * * *"),
            (
                "50-10/10 * 30-2 NOV-FEB *",
                "50,0,10 * 30,31,1,2 11,12,1,2 *",
            ),
            ("0 2 * * MON-FRI", "0 2 * * MON-FRI"),
            ("0 2 * * 5-7", "0 2 * * 5-7"),
            ("0 2 * * 5#2", "0 2 * * 5#2"),
            ("0 2 L * *", "0 2 L * *"),
            ("@daily", "@daily"),
            ("0 2 * * FRI-XXX", "0 2 * * FRI-XXX"),
            ("0 2 * * 9-1", "0 2 * * 9-1"),
            ("0 2 * * 6-1/0", "0 2 * * 6-1/0"),
            ("-", "-"),
        ] {
            assert_eq!(written_out(schedule), wanted, "{schedule}");
        }
    }
}
