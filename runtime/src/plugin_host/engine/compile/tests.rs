use super::*;

/// An argument of the child of these tests, which is this very test program.
const AS_CHILD: &str = "as-the-child";

#[test]
fn the_child_of_these_tests_does_what_the_program_does() {
    if std::env::args().any(|argument| argument == AS_CHILD) {
        let code = match task::work(std::io::stdin()) {
            Ok(()) => 0,
            Err(reason) => {
                eprintln!("{reason}");
                i32::from(crate::child::REFUSED)
            }
        };
        std::process::exit(code);
    }
}

fn child() -> Compiling {
    let arguments = [
        "--exact",
        "--nocapture",
        "plugin_host::engine::compile::tests::the_child_of_these_tests_does_what_the_program_does",
        AS_CHILD,
    ];
    let program = Program::new(std::env::current_exe().unwrap(), arguments.map(Into::into));
    Compiling::Child {
        program,
        limits: CompileLimits::default(),
    }
}

fn idle() -> Compiling {
    Compiling::Child {
        program: Program::new("/bin/sleep".into(), ["1000".into()]),
        limits: CompileLimits::default(),
    }
}

fn compiler(folder: &tempfile::TempDir, how: Compiling, change: impl Fn(&mut Limits)) -> Compiler {
    let engine = crate::plugin_host::engine::pool::compiler().unwrap();
    let mut compiler = Compiler::new(engine, CompiledCache::open(folder.path()).unwrap(), how);
    change(&mut compiler.limits);
    change(&mut compiler.own_limits);
    compiler
}

fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        bytes.push(if value > 0 { low | 0x80 } else { low });
        if value == 0 {
            return bytes;
        }
    }
}

fn section(id: u8, content: &[u8]) -> Vec<u8> {
    [&[id][..], &leb(content.len()), content].concat()
}

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";

/// A component with one core module, all of whose functions have this body.
fn of_functions(count: usize, body: &[u8]) -> Bytes {
    let body = [&leb(body.len()), body].concat();
    let types = section(1, &[1, 0x60, 0, 0]);
    let functions = section(3, &[leb(count), vec![0; count]].concat());
    let code = section(10, &[leb(count), body.repeat(count)].concat());
    let module = [MODULE, &types, &functions, &code].concat();
    [COMPONENT, &section(1, &module)].concat().into()
}

fn of_one_function(locals: usize, instructions: &[u8]) -> Bytes {
    let locals = match locals {
        0 => vec![0],
        many => [&[1][..], &leb(many), &[0x7f]].concat(),
    };
    of_functions(1, &[&locals, instructions, &[0x0b]].concat())
}

/// 50,000 locals that are alive in 100,000 blocks: 400 KB.
fn of_many_blocks() -> Bytes {
    of_one_function(50_000, &[0x02, 0x40, 0x0b].repeat(100_000))
}

/// One in the other, this deep.
fn nested(depth: usize) -> Bytes {
    // From the inside to the outside, backwards.
    let mut bytes: Vec<u8> = COMPONENT.iter().rev().copied().collect();
    for _ in 0..depth {
        let head = [COMPONENT, &[4], &leb(bytes.len())].concat();
        bytes.extend(head.iter().rev());
    }
    bytes.reverse();
    bytes.into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_compiles_and_what_it_made_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let small = of_one_function(0, &[]);
    for urgency in [Urgency::InTurn, Urgency::Now] {
        let digest = format!("{urgency:?}");
        let first = compiler(&folder, child(), |_| {});
        first
            .component(small.clone(), &digest, urgency)
            .await
            .unwrap();
        let again = compiler(&folder, idle(), |limits| {
            limits.wall_clock = Duration::from_millis(1)
        });
        again
            .component(small.clone(), &digest, urgency)
            .await
            .unwrap();
        again
            .component(small.clone(), "unknown", urgency)
            .await
            .map(drop)
            .unwrap_err();
    }
    let files = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 2, "what came to nothing left nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_component_is_refused_in_the_compilers_words() {
    let folder = tempfile::tempdir().unwrap();
    for how in [child(), Compiling::InProcess] {
        let compiler = compiler(&folder, how, |_| {});
        let broken = Bytes::from([COMPONENT, b"no section"].concat());
        let error = compiler
            .component(broken, "broken", Urgency::InTurn)
            .await
            .map(drop)
            .unwrap_err();
        assert!(
            matches!(&error, CompileError::Invalid(text) if text.contains("offset")),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_that_takes_too_much_is_given_up_and_says_of_what() {
    let folder = tempfile::tempdir().unwrap();
    let cpu = compiler(&folder, child(), |limits| {
        limits.cpu = Duration::from_secs(1)
    });
    let error = cpu
        .component(of_many_blocks(), "cpu", Urgency::InTurn)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, CompileError::Cpu(_)), "{error}");
    assert!(
        error.to_string().contains("more than 1s of CPU time"),
        "{error}"
    );

    let memory = compiler(&folder, child(), |limits| limits.memory_bytes = 96 << 20);
    let error = memory
        .component(of_many_blocks(), "memory", Urgency::InTurn)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, CompileError::Memory(_)), "{error}");
    assert!(
        error.to_string().contains("more than 96MiB of memory"),
        "{error}"
    );

    let size = compiler(&folder, child(), |limits| limits.file_bytes = 1_024);
    let error = size
        .component(of_one_function(0, &[]), "size", Urgency::InTurn)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, CompileError::CodeSize(_)), "{error}");

    let time = compiler(&folder, idle(), |limits| {
        limits.wall_clock = Duration::from_millis(20)
    });
    let error = time
        .component(of_one_function(0, &[]), "time", Urgency::InTurn)
        .await
        .map(drop)
        .unwrap_err();
    assert!(matches!(error, CompileError::WallClock(_)), "{error}");
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "nothing is left of them"
    );
}

#[test]
fn what_is_set_holds_for_plugins_and_never_keeps_the_program_from_its_own_parts() {
    let set = CompileLimits {
        cpu: Duration::from_secs(1),
        wall_clock: Duration::from_secs(7_200),
        memory_bytes: 64 << 20,
        nice: 19,
    };
    let how = Compiling::Child {
        program: Program::new("/bin/false".into(), []),
        limits: set,
    };
    let folder = tempfile::tempdir().unwrap();
    let compiler = compiler(&folder, how, |_| {});
    let (plugins, own) = (compiler.limits, compiler.own_limits);
    assert_eq!(
        (
            plugins.cpu,
            plugins.wall_clock,
            plugins.memory_bytes,
            plugins.nice
        ),
        (set.cpu, set.wall_clock, set.memory_bytes, set.nice)
    );
    let least = CompileLimits::default();
    assert_eq!(
        (own.cpu, own.wall_clock, own.memory_bytes, own.nice),
        (least.cpu, set.wall_clock, least.memory_bytes, 0)
    );
}

/// The inputs that took the program minutes and gigabytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_end_within_their_limits() {
    let folder = tempfile::tempdir().unwrap();
    let ifs = [&[0x41, 0][..], &[0x04, 0x40], &[0x0b]].concat();
    for (what, bomb) in [
        ("nested components", nested(20_000)),
        ("many functions", of_functions(900_000, &[0, 0x0b])),
        (
            "a huge function",
            of_one_function(0, &[0x41, 1, 0x1a].repeat(2_500_000)),
        ),
        ("many ifs", of_one_function(0, &ifs.repeat(400_000))),
    ] {
        let compiler = compiler(&folder, child(), |limits| {
            limits.cpu = Duration::from_secs(2);
            limits.memory_bytes = 256 << 20;
        });
        match compiler.component(bomb, what, Urgency::InTurn).await {
            Ok(_) => panic!("{what}: it fits into 2 s and 256 MiB, and is no bomb"),
            Err(CompileError::NotStarted(error)) => panic!("{what}: {error}"),
            // By which of its limits depends on the machine.
            Err(_) => {}
        }
    }
    let after = compiler(&folder, child(), |_| {});
    after
        .component(of_one_function(0, &[]), "after", Urgency::InTurn)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_is_compiled_at_a_time_and_few_wait() {
    let folder = tempfile::tempdir().unwrap();
    let compiler = Arc::new(compiler(&folder, idle(), |_| {}));
    let mut waiting: Vec<_> = (0..=WAITING)
        .map(|index| {
            let compiler = compiler.clone();
            tokio::spawn(async move {
                let digest = format!("waiting-{index}");
                compiler
                    .component(of_one_function(0, &[]), &digest, Urgency::InTurn)
                    .await
                    .map(drop)
            })
        })
        .collect();
    while compiler.places.available_permits() > 0 || compiler.turn.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    let refused = compiler
        .component(of_one_function(0, &[]), "more", Urgency::InTurn)
        .await
        .map(drop)
        .unwrap_err();
    assert!(
        matches!(refused, CompileError::Crowded(WAITING)),
        "{refused}"
    );
    // Who goes makes room, and takes the child along.
    waiting.drain(..).for_each(|task| task.abort());
    while compiler.places.available_permits() <= WAITING {
        tokio::task::yield_now().await;
    }
    assert_eq!(compiler.turn.available_permits(), 1);
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "the child's draft is gone"
    );
}
