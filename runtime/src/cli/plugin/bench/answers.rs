//! Answers that the calls of a benchmark got: a speed means little where every call was rejected.

use super::super::call::Outcome;

/// Kinds that are counted apart.
const KINDS: usize = 16;

/// Counts in the order of their first answers.
#[derive(Default)]
pub(super) struct Answers(Vec<Answered>);

/// Calls that ended alike.
pub(super) struct Answered {
    pub(super) name: String,
    pub(super) is_failure: bool,
    /// Message of the first one.
    pub(super) message: String,
    pub(super) calls: u64,
}

impl Answers {
    pub(super) fn record(&mut self, outcome: Outcome) {
        let Outcome {
            name,
            is_failure,
            message,
        } = outcome;
        self.put(Answered {
            name,
            is_failure,
            message,
            calls: 1,
        });
    }

    pub(super) fn add(&mut self, other: Answers) {
        other.0.into_iter().for_each(|answered| self.put(answered));
    }

    fn put(&mut self, answered: Answered) {
        if let Some(known) = self.0.iter_mut().find(|known| known.name == answered.name) {
            known.calls += answered.calls;
        } else if self.0.len() < KINDS {
            self.0.push(answered);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Answered> {
        self.0.iter()
    }

    /// The most frequent one, if none of the calls measured anything.
    pub(super) fn all_failed(&self) -> Option<&Answered> {
        let all = self.0.iter().all(|answered| answered.is_failure);
        self.0
            .iter()
            .filter(|_| all)
            .max_by_key(|answered| answered.calls)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(name: &str, is_failure: bool) -> Outcome {
        Outcome {
            name: name.to_owned(),
            is_failure,
            message: format!("{name} it is"),
        }
    }

    #[test]
    fn equal_answers_are_counted_together_with_the_first_message() {
        let (mut answers, mut more) = (Answers::default(), Answers::default());
        answers.record(outcome("healthy", false));
        more.record(outcome("healthy", false));
        more.record(outcome("error (denied)", true));
        answers.add(more);
        let found: Vec<_> = answers
            .iter()
            .map(|answered| (answered.name.as_str(), answered.calls))
            .collect();
        assert_eq!(found, [("healthy", 2), ("error (denied)", 1)]);
        assert!(answers.all_failed().is_none());
    }

    #[test]
    fn all_that_failed_are_named_by_the_most_frequent() {
        let mut answers = Answers::default();
        answers.record(outcome("error (timeout)", true));
        answers.record(outcome("error (denied)", true));
        answers.record(outcome("error (denied)", true));
        let failed = answers.all_failed().unwrap();
        assert_eq!(
            (failed.name.as_str(), failed.message.as_str()),
            ("error (denied)", "error (denied) it is")
        );
        assert!(
            Answers::default().all_failed().is_none(),
            "nothing was called"
        );
    }
}
