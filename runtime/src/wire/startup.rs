//! The start of a connection: encryption, the version of the protocol, who it is.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::error::WireError;
use super::io::{Failure, Io, Stream};
use super::messages::{password, start_parameters};
use super::replies::Replies;
use super::session::{Parts, Session};
use crate::api::{Principal, SqlSignInError};

/// From the connection to the sign-in.
const START: Duration = Duration::from_secs(10);
/// Bytes of a message before the sign-in, as in PostgreSQL.
const MAX_FIRST: usize = 10_000;

const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;
/// The first byte of a client that begins with TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// Name of the only database.
pub(super) const DATABASE: &str = "extrack";

/// What a client sends first.
enum First {
    Start {
        minor: u16,
        parameters: Vec<(String, String)>,
    },
    Cancel {
        pid: u32,
        secret: u32,
    },
}

/// Returns the session of a client that signed in within the time; none if it did not, was told why,
/// or only wanted to cancel.
pub(super) async fn start(
    context: &Arc<Context>,
    stream: TcpStream,
    peer: IpAddr,
    closing: &CancellationToken,
) -> Option<(Session, String)> {
    let starting = async {
        let (stream, is_secure) = encrypted(context, stream).await?;
        begin(context, stream, is_secure, peer, closing).await
    };
    timeout(START, starting).await.ok()?.ok().flatten()
}

/// Negotiates encryption. What a client sends before it is never read as if it came after.
async fn encrypted(
    context: &Context,
    mut stream: TcpStream,
) -> io::Result<(Box<dyn Stream>, bool)> {
    stream.set_nodelay(true)?;
    loop {
        // One byte tells TLS from the rest, whose first eight bytes tell what is asked.
        let mut head = [0; 8];
        if stream.peek(&mut head[..1]).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let (Some(tls), TLS_HANDSHAKE) = (&context.tls, head[0]) {
            return Ok((Box::new(tls.accept(stream).await?), true));
        }
        stream.read_exact(&mut head).await?;
        let code = u32::from_be_bytes([head[4], head[5], head[6], head[7]]);
        match (code, &context.tls) {
            (SSL, Some(tls)) => {
                stream.write_all(b"S").await?;
                return Ok((Box::new(tls.accept(stream).await?), true));
            }
            (SSL | GSS, _) => stream.write_all(b"N").await?,
            _ => {
                let (read, write) = stream.into_split();
                let read = io::Cursor::new(head).chain(read);
                return Ok((Box::new(tokio::io::join(read, write)), false));
            }
        }
    }
}

async fn begin(
    context: &Arc<Context>,
    mut stream: Box<dyn Stream>,
    is_secure: bool,
    peer: IpAddr,
    closing: &CancellationToken,
) -> Result<Option<(Session, String)>, Failure> {
    let first = first(&mut stream).await;
    let mut io = Io::new(stream);
    let signed_in = match first {
        Ok(First::Cancel { pid, secret }) => {
            context.cancels.cancel(pid, secret);
            return Ok(None);
        }
        Ok(First::Start { minor, parameters }) => {
            let may_go_on = is_secure || peer.is_loopback();
            sign_in(context, &mut io, minor, parameters, may_go_on, peer).await
        }
        Err(failure) => Err(failure),
    };
    let (principal, settings, token) = match signed_in {
        Ok(signed_in) => signed_in,
        Err(Failure::Error(error)) => {
            io.out.error(&error);
            io.send().await?;
            return Ok(None);
        }
        Err(gone) => return Err(gone),
    };
    let key = context.cancels.register();
    greet(&mut io.out, &settings, &context.version);
    io.out.key(key.pid, key.secret);
    tracing::info!(token = principal.name, address = %peer, "signed in over the PostgreSQL protocol");
    let session = Session::new(Parts {
        context: Arc::clone(context),
        io,
        principal,
        address: peer,
        key,
        closing: closing.clone(),
        settings,
    });
    Ok(Some((session, token)))
}

/// Reads the first message, and not a byte more.
async fn first(stream: &mut (impl AsyncRead + Unpin)) -> Result<First, Failure> {
    let length = stream.read_u32().await? as usize;
    if !(8..=MAX_FIRST).contains(&length) {
        return Err(WireError::protocol("the first message has a length that can't be").into());
    }
    let code = stream.read_u32().await?;
    let mut body = vec![0; length - 8];
    stream.read_exact(&mut body).await?;
    match code {
        CANCEL => match body[..] {
            [a, b, c, d, e, f, g, h] => Ok(First::Cancel {
                pid: u32::from_be_bytes([a, b, c, d]),
                secret: u32::from_be_bytes([e, f, g, h]),
            }),
            _ => Err(WireError::protocol("a cancel request has two numbers").into()),
        },
        code if code >> 16 == 3 => Ok(First::Start {
            // The lower half.
            minor: (code & 0xffff) as u16,
            parameters: start_parameters(&body)?,
        }),
        _ => Err(WireError::fatal("0A000", "only version 3 of the protocol is spoken here").into()),
    }
}

type SignedIn = (Principal, HashMap<String, String>, String);

async fn sign_in(
    context: &Context,
    io: &mut Io,
    minor: u16,
    parameters: Vec<(String, String)>,
    may_go_on: bool,
    peer: IpAddr,
) -> Result<SignedIn, Failure> {
    let options: Vec<&str> = parameters
        .iter()
        .filter(|(name, _)| name.starts_with("_pq_."))
        .map(|(name, _)| name.as_str())
        .collect();
    if minor > 0 || !options.is_empty() {
        io.out.negotiate(&options);
    }
    if !may_go_on {
        let message = "passwords are only taken over TLS here";
        return Err(WireError::fatal("28000", message)
            .with_hint("connect with `sslmode=require`")
            .into());
    }
    let mut settings: HashMap<String, String> = parameters.into_iter().collect();
    settings.remove("user");
    settings.remove("options");
    if settings
        .remove("replication")
        .is_some_and(|value| value != "false")
    {
        return Err(WireError::fatal("0A000", "there is no replication here").into());
    }
    match settings.remove("database") {
        Some(database) if database != DATABASE => {
            let message = format!("there is no database `{database}`");
            return Err(WireError::fatal("3D000", message)
                .with_hint(format!("connect to the database `{DATABASE}`"))
                .into());
        }
        _ => {}
    }
    io.out.password_wanted();
    io.send().await?;
    let (kind, body) = io.message(MAX_FIRST).await?;
    if kind != b'p' {
        return Err(WireError::protocol("a password was expected").into());
    }
    let token = password(&body)?;
    let principal = context.state.sql_sign_in(&token, peer).await;
    let principal = principal.map_err(|error| refused(error, peer))?;
    Ok((principal, settings, token))
}

fn refused(error: SqlSignInError, peer: IpAddr) -> WireError {
    let hint = "the password is an API token with the scope `sql`; any user name is fine";
    match error {
        SqlSignInError::Unknown => {
            tracing::warn!(address = %peer, "a sign-in over the PostgreSQL protocol failed");
            WireError::fatal("28P01", "the token is not known here").with_hint(hint)
        }
        SqlSignInError::TooMany(wait) => {
            let seconds = wait.as_secs() + 1;
            let message = format!(
                "too many wrong tokens came from this address; the next one is looked at in {seconds} s"
            );
            WireError::fatal("28P01", message)
        }
        SqlSignInError::Scope => {
            WireError::fatal("28000", "the token lacks the scope `sql`").with_hint(hint)
        }
        SqlSignInError::Store => {
            WireError::fatal("57P03", "tokens can't be read at the moment; try again")
        }
    }
}

/// Reports what clients want to know before their first statement.
fn greet(out: &mut Replies, settings: &HashMap<String, String>, version: &str) {
    out.signed_in();
    let application = settings.get("application_name").map_or("", String::as_str);
    for (name, value) in [
        ("server_version", version),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("application_name", application),
        ("DateStyle", "ISO, MDY"),
        ("IntervalStyle", "postgres"),
        ("TimeZone", "UTC"),
        ("integer_datetimes", "on"),
        ("standard_conforming_strings", "on"),
        ("is_superuser", "off"),
        ("session_authorization", DATABASE),
        ("default_transaction_read_only", "on"),
        ("in_hot_standby", "off"),
    ] {
        out.parameter(name, value);
    }
}
