//! The frames and their encoding.

/// What a client says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFrame {
    /// Which streams the client takes part in; the first frame.
    Hello {
        /// It will send input.
        stdin: bool,
        /// It wants the standard output (or the terminal's).
        stdout: bool,
        /// It wants the standard error.
        stderr: bool,
    },
    /// Input for the workload.
    Stdin(Vec<u8>),
    /// There will be no more input.
    StdinClosed,
    /// The client's terminal has this size now.
    Resize {
        /// Lines.
        rows: u16,
        /// Characters in a line.
        cols: u16,
    },
}

/// What the keeper says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeeperFrame {
    /// The keeper has heard the client's hello: all that the workload writes from here on will be sent.
    Welcome,
    /// Output of the workload, or of its terminal.
    Stdout(Vec<u8>),
    /// Error output of the workload.
    Stderr(Vec<u8>),
    /// The run is over and taken down.
    Exited {
        /// Its exit status; `None` when it could not be collected.
        code: Option<i32>,
    },
}

/// The other side does not speak this protocol.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// No frame is so long.
    #[error("a frame of {0} bytes is longer than any that gaufre sends")]
    TooLong(usize),
    /// No frame has this kind, or it is not made so.
    #[error("a frame of kind {0} is malformed or unknown")]
    Malformed(u8),
}

/// No payload is longer.
const LONGEST: usize = 64 * 1024;
const HEADER: usize = 5;

impl ClientFrame {
    /// The frame as it goes over the line.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Hello { stdin, stdout, stderr } => {
                encode(1, &[u8::from(*stdin), u8::from(*stdout), u8::from(*stderr)])
            }
            Self::Stdin(bytes) => encode(2, bytes),
            Self::StdinClosed => encode(3, &[]),
            Self::Resize { rows, cols } => encode(4, &[rows.to_le_bytes(), cols.to_le_bytes()].concat()),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        Ok(match (kind, payload) {
            (1, [stdin, stdout, stderr]) => {
                Self::Hello { stdin: *stdin != 0, stdout: *stdout != 0, stderr: *stderr != 0 }
            }
            (2, bytes) => Self::Stdin(bytes.to_vec()),
            (3, []) => Self::StdinClosed,
            (4, &[r0, r1, c0, c1]) => {
                Self::Resize { rows: u16::from_le_bytes([r0, r1]), cols: u16::from_le_bytes([c0, c1]) }
            }
            _ => return Err(FrameError::Malformed(kind)),
        })
    }
}

impl KeeperFrame {
    /// The frame as it goes over the line.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Stdout(bytes) => encode(1, bytes),
            Self::Stderr(bytes) => encode(2, bytes),
            Self::Exited { code: Some(code) } => encode(3, &code.to_le_bytes()),
            Self::Exited { code: None } => encode(3, &[]),
            Self::Welcome => encode(4, &[]),
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        Ok(match (kind, payload) {
            (1, bytes) => Self::Stdout(bytes.to_vec()),
            (2, bytes) => Self::Stderr(bytes.to_vec()),
            (3, []) => Self::Exited { code: None },
            (3, &[a, b, c, d]) => Self::Exited { code: Some(i32::from_le_bytes([a, b, c, d])) },
            (4, []) => Self::Welcome,
            _ => return Err(FrameError::Malformed(kind)),
        })
    }
}

fn encode(kind: u8, payload: &[u8]) -> Vec<u8> {
    debug_assert!(payload.len() <= LONGEST);
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// Bytes as they came, cut into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    /// What of `bytes` has been handed out; taken away in one go rather than frame by frame.
    used: usize,
}

impl FrameBuffer {
    /// Adds what was received.
    pub(crate) fn extend(&mut self, received: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(received);
    }

    /// The next whole frame of a client.
    pub(crate) fn next_client(&mut self) -> Result<Option<ClientFrame>, FrameError> {
        self.next(ClientFrame::decode)
    }

    /// The next whole frame of a keeper.
    pub(crate) fn next_keeper(&mut self) -> Result<Option<KeeperFrame>, FrameError> {
        self.next(KeeperFrame::decode)
    }

    fn next<F>(&mut self, decode: fn(u8, &[u8]) -> Result<F, FrameError>) -> Result<Option<F>, FrameError> {
        let rest = &self.bytes[self.used..];
        let Some((&[kind, l0, l1, l2, l3], rest)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if len > LONGEST {
            return Err(FrameError::TooLong(len));
        }
        let Some(payload) = rest.get(..len) else { return Ok(None) };
        let frame = decode(kind, payload)?;
        self.used += HEADER + len;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere_come_out_whole() {
        let sent = [
            ClientFrame::Hello { stdin: true, stdout: true, stderr: false },
            ClientFrame::Stdin(b"hello".to_vec()),
            ClientFrame::Resize { rows: 24, cols: 80 },
            ClientFrame::StdinClosed,
        ];
        let bytes: Vec<u8> = sent.iter().flat_map(ClientFrame::encode).collect();
        for cut in 0..bytes.len() {
            let mut buffer = FrameBuffer::default();
            let mut received = Vec::new();
            for part in [&bytes[..cut], &bytes[cut..]] {
                buffer.extend(part);
                while let Some(frame) = buffer.next_client().unwrap() {
                    received.push(frame);
                }
            }
            assert_eq!(received, sent, "cut at {cut}");
        }
    }

    #[test]
    fn a_keeper_frame_reads_back() {
        for frame in [
            KeeperFrame::Welcome,
            KeeperFrame::Stdout(vec![0; LONGEST]),
            KeeperFrame::Stderr(Vec::new()),
            KeeperFrame::Exited { code: Some(-1) },
            KeeperFrame::Exited { code: None },
        ] {
            let mut buffer = FrameBuffer::default();
            buffer.extend(&frame.encode());
            assert_eq!(buffer.next_keeper().unwrap(), Some(frame));
        }
    }

    #[test]
    fn nonsense_is_refused_and_not_buffered_for_ever() {
        let mut buffer = FrameBuffer::default();
        buffer.extend(&[2, 0xff, 0xff, 0xff, 0xff]);
        assert!(matches!(buffer.next_client(), Err(FrameError::TooLong(_))));
        let mut buffer = FrameBuffer::default();
        buffer.extend(&[9, 0, 0, 0, 0]);
        assert!(matches!(buffer.next_client(), Err(FrameError::Malformed(9))));
    }
}
