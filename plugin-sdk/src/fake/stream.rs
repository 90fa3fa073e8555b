//! Connections and sockets that play a script, or a recording.

use std::cell::RefCell;
use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::net::{NO_PHASES, Recorded};
use super::next;
use super::request::plain;
use super::tape::Tape;
use crate::net::{NetError, Phases};
use crate::stream::Piece;
use crate::wit::net::Target;
use crate::wit::stream::{Session, TlsOptions};

/// What a connection reads, piece by piece, until the other side closes; or the datagrams that
/// come, until there is silence.
#[derive(Debug, Clone, Default)]
pub struct StreamScript {
    pub reads: Vec<Vec<u8>>,
    /// The handshake; an error unless one is set.
    pub tls: Option<Result<Session, NetError>>,
}

impl StreamScript {
    pub fn reading<B: AsRef<[u8]>>(pieces: &[B]) -> Self {
        Self {
            reads: pieces.iter().map(|piece| piece.as_ref().to_vec()).collect(),
            tls: None,
        }
    }

    /// A connection on which the handshake finds this.
    pub fn with_tls(self, session: impl Into<super::Answer<Session>>) -> Self {
        Self {
            tls: Some(session.into().0),
            ..self
        }
    }
}

/// An open connection or socket, as far as both are the same.
struct Played {
    reads: RefCell<VecDeque<Vec<u8>>>,
    peer: String,
    /// The field of recorded requests that has the number.
    field: &'static str,
    /// In a recording, from 1.
    number: Option<u32>,
}

impl Played {
    /// None: this one plays a script.
    fn recorded<A: DeserializeOwned>(&self, function: &str, asked: Value) -> Option<A> {
        let mut asked = asked;
        asked[self.field] = self.number?.into();
        super::with(|state| state.recorded(function, &asked))
    }

    fn phases(&self, function: &str) -> Phases {
        let scripted = Phases {
            connect_us: Some(1_000),
            total_us: 1_000,
            ..NO_PHASES
        };
        self.recorded(function, json!({})).unwrap_or(scripted)
    }

    fn peer(&self, function: &str) -> String {
        self.recorded(function, json!({}))
            .unwrap_or_else(|| self.peer.clone())
    }
}

/// A connection that plays a [`StreamScript`].
pub struct Connection {
    played: Played,
    tls: Option<Result<Session, NetError>>,
}

impl Connection {
    pub(crate) fn connect(target: &Target) -> Result<Self, NetError> {
        super::with(|state| {
            let peer = format!("{}:{}", target.host, target.port);
            let (script, number) = match state.recorded::<Recorded<()>>("stream.connect", target) {
                Some(answer) => {
                    answer.map_err(NetError::from)?;
                    let number = state.tape.as_mut().map(Tape::next_connection);
                    (StreamScript::default(), number)
                }
                None => (next(&mut state.stream, &peer, "answer_stream")?, None),
            };
            let played = Played {
                reads: RefCell::new(script.reads.into()),
                peer,
                field: "connection",
                number,
            };
            Ok(Self {
                played,
                tls: script.tls,
            })
        })
    }

    pub(crate) fn start_tls(&self, options: &TlsOptions) -> Result<Session, NetError> {
        let asked = json!({"options": options});
        if let Some(answer) = self
            .played
            .recorded::<Recorded<Session>>("stream.start-tls", asked)
        {
            return answer.map_err(NetError::from);
        }
        self.tls.clone().unwrap_or_else(|| {
            Err(NetError::Tls(format!(
                "the script of `{}` has no handshake; give it one with `with_tls`",
                self.played.peer
            )))
        })
    }

    pub(crate) fn write(&self, bytes: &[u8]) -> Result<(), NetError> {
        super::with(|state| state.written.extend_from_slice(bytes));
        let asked = json!({"bytes": bytes});
        match self.played.recorded::<Recorded<()>>("stream.write", asked) {
            Some(answer) => answer.map_err(NetError::from),
            None => Ok(()),
        }
    }

    pub(crate) fn write_pieces(&self, pieces: &[Piece]) -> Result<(), NetError> {
        let bytes = pieces.iter().flat_map(|piece| match piece {
            Piece::Bytes(bytes) => bytes.clone(),
            Piece::Secret(secret) => secret.value().as_bytes().to_vec(),
            Piece::Base64(text) => STANDARD.encode(plain(text)).into_bytes(),
        });
        let bytes: Vec<u8> = bytes.collect();
        super::with(|state| state.written.extend(bytes));
        let asked = json!({"pieces": pieces});
        let function = "stream.write-pieces";
        match self.played.recorded::<Recorded<()>>(function, asked) {
            Some(answer) => answer.map_err(NetError::from),
            None => Ok(()),
        }
    }

    pub(crate) fn read(&self, max: u32, timeout_ms: Option<u64>) -> Result<Vec<u8>, NetError> {
        let asked = json!({"max": max, "timeout_ms": timeout_ms});
        if let Some(answer) = self
            .played
            .recorded::<Recorded<Vec<u8>>>("stream.read", asked)
        {
            return answer.map_err(NetError::from);
        }
        let mut reads = self.played.reads.borrow_mut();
        let Some(mut piece) = reads.pop_front() else {
            return Ok(Vec::new());
        };
        if piece.len() > max as usize {
            reads.push_front(piece.split_off(max as usize));
        }
        Ok(piece)
    }

    pub(crate) fn phases(&self) -> Phases {
        self.played.phases("stream.phases")
    }

    pub(crate) fn peer(&self) -> String {
        self.played.peer("stream.peer")
    }
}

/// A socket on which the datagrams of a [`StreamScript`] arrive.
pub struct Socket(Played);

impl Socket {
    pub(crate) fn open(target: &Target) -> Result<Self, NetError> {
        super::with(|state| {
            let peer = format!("{}:{}", target.host, target.port);
            let (script, number) = match state.recorded::<Recorded<()>>("udp.open", target) {
                Some(answer) => {
                    answer.map_err(NetError::from)?;
                    let number = state.tape.as_mut().map(Tape::next_connection);
                    (StreamScript::default(), number)
                }
                None => (next(&mut state.udp, &peer, "answer_udp")?, None),
            };
            Ok(Self(Played {
                reads: RefCell::new(script.reads.into()),
                peer,
                field: "socket",
                number,
            }))
        })
    }

    pub(crate) fn send(&self, datagram: &[u8]) -> Result<(), NetError> {
        super::with(|state| state.datagrams.push(datagram.to_vec()));
        let asked = json!({"datagram": datagram});
        match self.0.recorded::<Recorded<()>>("udp.send", asked) {
            Some(answer) => answer.map_err(NetError::from),
            None => Ok(()),
        }
    }

    pub(crate) fn receive(&self, max: u32, timeout_ms: Option<u64>) -> Result<Vec<u8>, NetError> {
        let asked = json!({"max": max, "timeout_ms": timeout_ms});
        if let Some(answer) = self.0.recorded::<Recorded<Vec<u8>>>("udp.receive", asked) {
            return answer.map_err(NetError::from);
        }
        match self.0.reads.borrow_mut().pop_front() {
            Some(datagram) if datagram.len() > max as usize => Err(NetError::TooLarge(format!(
                "`{}` sent a datagram of more than {max} bytes",
                self.0.peer
            ))),
            Some(datagram) => Ok(datagram),
            None => Err(NetError::Timeout(format!(
                "timed out while waiting for a datagram from `{}`",
                self.0.peer
            ))),
        }
    }

    pub(crate) fn phases(&self) -> Phases {
        self.0.phases("udp.phases")
    }

    pub(crate) fn peer(&self) -> String {
        self.0.peer("udp.peer")
    }
}
