//! [`TestStore`]: the real control store in a folder of its own, under virtual time.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, mpsc};

use crate::domain::*;
use crate::store::control::{AlertFilter, Attempt, NotificationFilter};
use crate::store::{ControlStore, Keyring};

const FILE: &str = "control.sqlite";

/// Rows read at once.
const PAGE: u32 = 1_000;

/// A folder with a store that was opened once, so that each test need not migrate its own.
static OPENED: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    apart(move || async move { open(&path).await.close().await });
    folder
});

async fn open(folder: &Path) -> ControlStore {
    let keyring = Keyring::load(None, folder).unwrap();
    ControlStore::open(&folder.join(FILE), keyring)
        .await
        .unwrap()
}

/// Runs something on a thread and a runtime of its own, whose clock is that of the machine.
fn apart<T: Send + 'static, F: Future<Output = T>>(work: impl FnOnce() -> F + Send + 'static) -> T {
    let runtime = || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
    };
    let thread = std::thread::spawn(move || runtime().block_on(work()));
    thread.join().unwrap()
}

/// State of the store, read at once.
#[derive(Default)]
pub(crate) struct StoreState {
    pub(crate) alerts: BTreeMap<i64, Alert>,
    pub(crate) events: Vec<AlertEvent>,
    pub(crate) notifications: Vec<Notification>,
    /// Attempts with the ids of their notifications, in the order in which they were recorded.
    pub(crate) attempts: Vec<(i64, Attempt)>,
    pub(crate) silences: Vec<Silence>,
    /// Memories by the key of the rule, with its service.
    pub(crate) memories: BTreeMap<String, (String, RuleMemory)>,
}

/// Cheap to clone; kept over a simulated crash. Its methods are the store's.
#[derive(Clone)]
pub(crate) struct TestStore(Arc<Shared>);

struct Shared {
    control: ControlStore,
    observer: Observer,
    _folder: tempfile::TempDir,
}

/// Opens a store; called within the test's runtime.
impl Default for TestStore {
    fn default() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(OPENED.path()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let path = folder.path().to_owned();
        let control = apart(move || async move {
            let control = open(&path).await;
            control.execute("PRAGMA synchronous = OFF").await;
            control.open_all_readers().await;
            control
        });
        tokio::spawn(control.clone().hold_time_while_at_work());
        let observer = Observer::start(control.clone(), folder.path().join(FILE));
        Self(Arc::new(Shared {
            control,
            observer,
            _folder: folder,
        }))
    }
}

impl Deref for TestStore {
    type Target = ControlStore;

    fn deref(&self) -> &ControlStore {
        &self.0.control
    }
}

impl TestStore {
    pub(crate) fn control(&self) -> ControlStore {
        self.0.control.clone()
    }

    /// Returns the state of now. No time passes meanwhile.
    pub(crate) fn state(&self) -> Arc<StoreState> {
        self.0.observer.state()
    }

    /// Each event as `alert:state`.
    pub(crate) fn story(&self) -> Vec<String> {
        self.state()
            .events
            .iter()
            .map(|event| format!("{}:{}", event.alert.0, event.to.as_str()))
            .collect()
    }

    pub(crate) fn waiting(&self) -> usize {
        let waits = |notification: &&Notification| notification.state == NotificationState::Waiting;
        self.state().notifications.iter().filter(waits).count()
    }
}

/// A thread that reads the store, so that a test can look at it without letting time pass.
struct Observer(Mutex<mpsc::Sender<mpsc::Sender<Arc<StoreState>>>>);

impl Observer {
    fn start(control: ControlStore, file: PathBuf) -> Self {
        let (sender, requests) = mpsc::channel::<mpsc::Sender<Arc<StoreState>>>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            let control = runtime.block_on(control.observed(&file));
            let mut last: Option<(i64, Arc<StoreState>)> = None;
            while let Ok(answer) = requests.recv() {
                let version = runtime.block_on(control.data_version());
                let state = match &last {
                    Some((seen, state)) if *seen == version => Arc::clone(state),
                    _ => Arc::new(runtime.block_on(read(&control))),
                };
                last = Some((version, Arc::clone(&state)));
                let _ = answer.send(state);
            }
        });
        Self(Mutex::new(sender))
    }

    fn state(&self) -> Arc<StoreState> {
        let (answer, state) = mpsc::channel();
        self.0.lock().unwrap().send(answer).unwrap();
        state.recv().unwrap()
    }
}

async fn read(control: &ControlStore) -> StoreState {
    let mut state = StoreState::default();
    loop {
        let filter = AlertFilter {
            before: state.alerts.keys().next().copied(),
            limit: PAGE,
            ..AlertFilter::default()
        };
        let page = control.alert_list(&filter).await.unwrap();
        let is_last = page.len() < PAGE as usize;
        state
            .alerts
            .extend(page.into_iter().map(|alert| (alert.id.0, alert)));
        if is_last {
            break;
        }
    }
    loop {
        let after = state.events.last().map_or(0, |event| event.id);
        let page = control.alert_event_after(after, PAGE).await.unwrap();
        let is_last = page.len() < PAGE as usize;
        state
            .events
            .extend(page.into_iter().map(|(event, _)| event));
        if is_last {
            break;
        }
    }
    loop {
        let filter = NotificationFilter {
            before: state.notifications.last().map(|row| row.id),
            limit: PAGE,
            ..NotificationFilter::default()
        };
        let page = control.notification_list(&filter).await.unwrap();
        let is_last = page.len() < PAGE as usize;
        state.notifications.extend(page);
        if is_last {
            break;
        }
    }
    state.notifications.reverse();
    let ids: Vec<i64> = state.notifications.iter().map(|row| row.id).collect();
    let mut attempts = control.notification_attempts_of(&ids).await.unwrap();
    // What is recorded while this reads is left out.
    for id in control.attempt_order().await {
        let of_message = attempts.get_mut(&id).filter(|left| !left.is_empty());
        if let Some(left) = of_message {
            state.attempts.push((id, left.remove(0)));
        }
    }
    let silences = control.silence_page(true, 0, None, PAGE).await.unwrap();
    state.silences = silences.into_iter().map(|stored| stored.silence).collect();
    state.memories = control
        .rule_memory_list(None)
        .await
        .unwrap()
        .into_iter()
        .map(|(rule, service, memory)| (rule, (service, memory)))
        .collect();
    state
}
