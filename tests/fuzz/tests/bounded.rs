//! Each target over its corpus, then over a fixed number of inputs made of it: the same ones in
//! every run, so that a change is what makes a test fail. `EXTRACK_TEST_SEED` makes others.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use extrack_fuzz::{
    Mutator, TARGETS, Target, corpus, corpus_folder, keep_files_in, target, targets,
};

/// Any number would do.
const SEED: u64 = 9_309_535;

/// Notes each input before it is read: of one that ends the process, the file is what is left.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a failure is nothing without its seed and its input"
)]
fn play(target: &Target) {
    let seed = match std::env::var("EXTRACK_TEST_SEED") {
        Ok(seed) => seed.parse().expect("EXTRACK_TEST_SEED is a number"),
        Err(_) => SEED,
    };
    keep_files_in(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let noted = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{}.input", target.name));
    println!(
        "EXTRACK_TEST_SEED={seed}; the input that is read: {}",
        noted.display()
    );
    let corpus = corpus(target.name);
    let mut mutator = Mutator::new(seed, corpus.clone());
    let made = (0..target.inputs).map(|_| mutator.input());
    for input in corpus.into_iter().chain(made) {
        fs::write(&noted, &input).expect("the folder of the tests can be written");
        let read = catch_unwind(AssertUnwindSafe(|| (target.read)(&input)));
        if let Err(panic) = read {
            let folder = corpus_folder(target.name);
            eprintln!(
                "mend it, and keep {} in {}:\n{}",
                noted.display(),
                folder.display(),
                input.escape_ascii()
            );
            resume_unwind(panic);
        }
    }
    fs::remove_file(&noted).expect("it was written");
}

macro_rules! tests {
    ($($name:ident: $inputs:literal, $($read:ident)::+;)*) => {
        $(
            #[test]
            fn $name() {
                play(target(stringify!($name)).expect("it is in the list"));
            }
        )*
    };
}

targets!(tests);

#[test]
fn every_target_has_a_corpus_and_every_corpus_a_target() {
    let folder = corpus_folder("");
    let entries = fs::read_dir(&folder)
        .expect("the corpus is in the tree")
        .flatten();
    let mut found: Vec<String> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    let mut wanted: Vec<String> = TARGETS
        .iter()
        .map(|target| target.name.to_owned())
        .collect();
    wanted.sort();
    assert_eq!(found, wanted);
    for target in TARGETS {
        assert!(
            !corpus(target.name).is_empty(),
            "{} has no input",
            target.name
        );
    }
}
