//! `extrack demo`: the real program, watching a simulated vendor on loopback.

mod vendor;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::outcome::Outcome;
use super::print::line;
use super::serve::stop_signal;
use crate::app::{self, Options, Started};
use crate::telemetry;
use vendor::Vendor;

/// Watches a simulated vendor on this machine, to look around: nothing leaves it.
///
/// Examples:
///   extrack demo
///   extrack demo --listen 127.0.0.1:8080 --data /tmp/extrack-demo
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Demo {
    /// Address and port of the pages and the API.
    #[arg(long, default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// Folder for what is kept; a new temporary one, removed at the end, if not given.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Demo {
    pub(super) async fn run(self) -> Outcome {
        telemetry::start_logs("warn,extrack::demo=info");
        let scratch = tempfile::tempdir()?;
        let folder = self.data.unwrap_or_else(|| scratch.path().to_owned());
        let stop = stop_signal()?;
        let config = folder.join("config");
        let kept = KeptConfig::read(&folder);
        if !folder.join(KeptConfig::FILE).exists()
            && FILES.iter().any(|(name, _)| config.join(name).exists())
        {
            bail!(
                "the files in `{}` are not a demo's; name another folder with `--data`",
                config.display()
            );
        }
        let vendor = Vendor::start(kept.as_ref().map(|kept| kept.vendor), stop.clone()).await?;
        let writing = || format!("writing the demo's `{}`", config.display());
        std::fs::create_dir_all(&folder).with_context(writing)?;
        KeptConfig { vendor }.write(&folder).with_context(writing)?;
        match kept {
            Some(kept) => kept.follow(&config, &vendor).with_context(writing)?,
            None => write_config(&config, &vendor).with_context(writing)?,
        }
        let options = Options {
            plugins: config.join("plugins"),
            config: config.clone(),
            data: folder.join("data"),
            listen: self.listen,
            wire: None,
            is_config_accepted: false,
            may_dump_core: false,
        };
        app::run(options, stop, |started| {
            let token = token(&folder, started.new_token.as_deref());
            introduce(&started, &config, token.as_deref());
        })
        .await?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Files that an earlier demo left in the folder: people may have edited them, and they name the
/// vendor's ports.
struct KeptConfig {
    vendor: Vendor,
}

impl KeptConfig {
    const FILE: &str = "vendor";

    /// Reads them; none when there was no demo, or its files are gone.
    fn read(folder: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(folder.join(Self::FILE)).ok()?;
        let (http, tls) = text.trim().split_once(' ')?;
        let vendor = Vendor {
            http: http.parse().ok()?,
            tls: tls.parse().ok()?,
        };
        FILES
            .iter()
            .all(|(name, _)| folder.join("config").join(name).is_file())
            .then_some(Self { vendor })
    }

    fn write(&self, folder: &Path) -> std::io::Result<()> {
        std::fs::write(
            folder.join(Self::FILE),
            format!("{} {}\n", self.vendor.http, self.vendor.tls),
        )
    }

    /// Updates the files where the vendor had to move; everything else in them stays as it was.
    fn follow(&self, config: &Path, vendor: &Vendor) -> std::io::Result<()> {
        let moves = [
            (self.vendor.http.to_string(), vendor.http.to_string()),
            (
                format!("localhost:{}", self.vendor.tls.port()),
                format!("localhost:{}", vendor.tls.port()),
            ),
        ];
        for (name, _) in FILES {
            let text = std::fs::read_to_string(config.join(name))?;
            let moved = moves
                .iter()
                .fold(text.clone(), |text, (from, to)| text.replace(from, to));
            if moved != text {
                std::fs::write(config.join(name), moved)?;
            }
        }
        Ok(())
    }
}

const FILES: [(&str, &str); 2] = [
    ("services.yaml", include_str!("demo/services.yaml")),
    ("alerts.yaml", include_str!("demo/alerts.yaml")),
];

fn write_config(folder: &Path, vendor: &Vendor) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let fill = |template: &str| {
        template
            .replace("HTTP_ADDRESS", &vendor.http.to_string())
            .replace("TLS_PORT", &vendor.tls.port().to_string())
    };
    FILES
        .iter()
        .try_for_each(|(name, template)| std::fs::write(folder.join(name), fill(template)))
}

/// The demo's own token opens nothing but the demo, so it is kept beside its files to be shown at
/// each start.
fn token(folder: &Path, new: Option<&str>) -> Option<String> {
    let path = folder.join("token");
    let Some(new) = new else {
        return std::fs::read_to_string(path).ok();
    };
    let mut options = std::fs::OpenOptions::new();
    std::os::unix::fs::OpenOptionsExt::mode(options.write(true).create(true).truncate(true), 0o600);
    // Without it the next start can only name the place where it was shown.
    let _ = options
        .open(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, new.as_bytes()));
    Some(new.to_owned())
}

fn introduce(started: &Started, config: &Path, token: Option<&str>) {
    let url = format!("http://{}", started.address);
    let given = std::env::var_os("EXTRACK_ADMIN_TOKEN").is_some();
    let (token, word) = match token {
        // A shell that knows the given one needs no other.
        _ if given => ("$EXTRACK_ADMIN_TOKEN", "$EXTRACK_ADMIN_TOKEN"),
        Some(token) => (token, token),
        None => ("<the one shown at the first start>", "…"),
    };
    // A build is not on the PATH: the lines below it work in any shell.
    let path = path_line().map_or(String::new(), |line| format!("    {line}\n"));
    line(&format!("listening on {url}"));
    line(&format!(
        "
  The demo watches a simulated vendor on this machine. Stop it with Ctrl-C.

  page     {url}
  token    {token}
  config   {}

  Three things to try, in another terminal:

{path}    export EXTRACK_SERVER={url} EXTRACK_TOKEN={word}

    extrack services check payments-api        # one check, now; it fails for 40 s in every 80
    extrack sql \"SELECT service, count(*) AS runs, round(avg(latency_ms), 1) AS ms FROM observations GROUP BY ALL\"
    extrack alerts list                        # what is firing

  Edit services.yaml in the config folder: it is read again when you save.
",
        std::path::absolute(config).unwrap_or_else(|_| config.to_owned()).display()
    ));
}

/// Returns what has to be put before the PATH so that `extrack` is this program; none when it is
/// already.
fn path_line() -> Option<String> {
    let program = std::env::current_exe().ok()?;
    let is_it = |folder: &Path| {
        folder
            .join("extrack")
            .canonicalize()
            .is_ok_and(|found| found == program)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let first = std::env::split_paths(&path).find(|folder| folder.join("extrack").is_file());
    match first {
        Some(folder) if is_it(&folder) => None,
        _ => Some(format!(
            "export PATH={}:\"$PATH\"",
            quoted(program.parent()?)
        )),
    }
}

/// One word for the shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vendor(http: u16, tls: u16) -> Vendor {
        Vendor {
            http: SocketAddr::from(([127, 0, 0, 1], http)),
            tls: SocketAddr::from(([127, 0, 0, 1], tls)),
        }
    }

    #[test]
    fn edited_files_stay_and_follow_the_vendor_to_its_new_ports() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config");
        assert!(KeptConfig::read(folder.path()).is_none());
        write_config(&config, &vendor(1111, 2222)).unwrap();
        assert_eq!(
            token(folder.path(), Some("t0ken")),
            token(folder.path(), None)
        );
        KeptConfig {
            vendor: vendor(1111, 2222),
        }
        .write(folder.path())
        .unwrap();
        let services = config.join("services.yaml");
        let edited = std::fs::read_to_string(&services)
            .unwrap()
            .replace("Geocoding API", "My own API");
        std::fs::write(&services, &edited).unwrap();

        let kept = KeptConfig::read(folder.path()).unwrap();
        kept.follow(&config, &vendor(1111, 2222)).unwrap();
        assert_eq!(std::fs::read_to_string(&services).unwrap(), edited);
        kept.follow(&config, &vendor(3333, 4444)).unwrap();
        let moved = std::fs::read_to_string(&services).unwrap();
        assert!(
            moved.contains("My own API") && moved.contains("127.0.0.1:3333/geo"),
            "{moved}"
        );
        assert!(
            moved.contains("localhost:4444") && !moved.contains("1111") && !moved.contains("2222"),
            "{moved}"
        );
    }

    #[test]
    fn a_path_is_one_word_for_the_shell() {
        assert_eq!(quoted(Path::new("/a b/c'd")), r"'/a b/c'\''d'");
    }
}
