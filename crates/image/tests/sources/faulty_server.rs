//! A registry on loopback that serves one image and misbehaves as a test says.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gaufre_image::Reference;
use gaufre_image::build::BuiltImage;

/// What a request asked for.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) from_byte: Option<usize>,
    pub(crate) authorization: Option<String>,
    /// How many requests for this path came before.
    pub(crate) nth: usize,
}

impl Asked {
    pub(crate) fn is_layer(&self, image: &BuiltImage) -> bool {
        self.path.ends_with(image.layer.digest.as_ref())
    }
}

/// How a request is answered.
pub(crate) enum Answer {
    /// As a good registry does.
    Usual,
    /// A status with more header lines and no body.
    Status(&'static str, String),
    /// 200 with this body.
    Body(Vec<u8>),
    /// 200 with this body in chunks, so that its length is not announced.
    Chunked(Vec<u8>),
    /// A good head, but the connection breaks after so many bytes of the body.
    CutAfter(usize),
    /// Everything again, as a server does that knows no ranges.
    IgnoreRange,
    /// Nothing, for longer than any test waits.
    Hang,
    /// A good head, then a byte each 50 ms for as long as the client listens.
    Trickle,
    /// A good head and so many bytes, then nothing.
    HangAfter(usize),
}

pub(crate) struct FaultyServer {
    pub(crate) address: String,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

impl FaultyServer {
    pub(crate) fn start(
        image: &BuiltImage,
        script: impl Fn(&Asked) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (image, script, log) = (Arc::new(image.clone()), Arc::new(script), Arc::clone(&asked));
        // The thread ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (image, script, log) = (Arc::clone(&image), Arc::clone(&script), Arc::clone(&log));
                std::thread::spawn(move || converse(&stream, &image, &*script, &log));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn reference(&self) -> Reference {
        Reference::parse(&format!("{}/image:1", self.address)).unwrap()
    }

    /// The first bytes asked for in each request for the layer.
    pub(crate) fn layer_offsets(&self, image: &BuiltImage) -> Vec<Option<usize>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.is_layer(image)).map(|asked| asked.from_byte).collect()
    }
}

fn converse(
    stream: &TcpStream,
    image: &BuiltImage,
    script: &dyn Fn(&Asked) -> Answer,
    log: &Mutex<Vec<Asked>>,
) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        // A TLS handshake: the client tries plain HTTP next.
        if *reader.fill_buf().ok()?.first()? == 0x16 {
            return None;
        }
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let header = |name: &str| {
            let found =
                lines.iter().skip(1).find_map(|line| line.split_once(": ").filter(|(n, _)| *n == name));
            found.map(|(_, value)| value.to_owned())
        };
        let path = lines.first()?.split(' ').nth(1)?.to_owned();
        let range = header("range");
        let from_byte = range.and_then(|value| value["bytes=".len()..].trim_end_matches('-').parse().ok());
        let authorization = header("authorization");
        let nth = log.lock().unwrap().iter().filter(|asked| asked.path == path).count();
        let asked = Asked { path, from_byte, authorization, nth };
        log.lock().unwrap().push(asked.clone());
        answer(stream, image, &asked, script(&asked))?;
    }
}

fn answer(mut stream: &TcpStream, image: &BuiltImage, asked: &Asked, answer: Answer) -> Option<()> {
    let body = match asked.path.rsplit('/').next()? {
        "1" => &image.manifest.bytes[..],
        key if key == image.manifest.digest.as_ref() => &image.manifest.bytes[..],
        key if key == image.config.digest.as_ref() => &image.config.bytes[..],
        key if key == image.layer.digest.as_ref() => &image.layer.bytes[..],
        _ => b"{}",
    };
    let total = body.len();
    let (head, body) = match asked.from_byte {
        Some(first) if !matches!(answer, Answer::IgnoreRange) => {
            let range = format!("Content-Range: bytes {first}-{}/{total}\r\n", total - 1);
            (format!("HTTP/1.1 206 Partial Content\r\n{range}"), &body[first..])
        }
        _ => ("HTTP/1.1 200 OK\r\n".to_owned(), body),
    };
    let head = format!("{head}Content-Length: {}\r\n\r\n", body.len());
    let mut send = |bytes: &[u8]| stream.write_all(bytes).ok();
    match answer {
        Answer::Usual | Answer::IgnoreRange => {
            send(head.as_bytes())?;
            send(body)
        }
        Answer::Status(status, lines) => {
            send(format!("HTTP/1.1 {status}\r\n{lines}Content-Length: 0\r\n\r\n").as_bytes())
        }
        Answer::Body(body) => {
            send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())?;
            send(&body)
        }
        Answer::Chunked(body) => {
            send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            for piece in body.chunks(10_000) {
                send(format!("{:x}\r\n", piece.len()).as_bytes())?;
                send(piece)?;
                send(b"\r\n")?;
            }
            send(b"0\r\n\r\n")
        }
        Answer::CutAfter(len) => {
            send(head.as_bytes())?;
            send(&body[..len.min(body.len())])?;
            None
        }
        Answer::Hang => {
            std::thread::sleep(Duration::from_secs(600));
            None
        }
        Answer::Trickle => {
            send(head.as_bytes())?;
            for byte in body {
                send(&[*byte])?;
                std::thread::sleep(Duration::from_millis(50));
            }
            Some(())
        }
        Answer::HangAfter(len) => {
            send(head.as_bytes())?;
            send(&body[..len.min(body.len())])?;
            std::thread::sleep(Duration::from_secs(600));
            None
        }
    }
}
