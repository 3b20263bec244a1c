//! The D-Bus wire format, as far as systemd's manager is spoken to (D-Bus specification, "Marshaling" and "Message
//! Protocol"): little-endian, every value aligned to its size from the beginning of the message.

/// A value, of the types that units' properties have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Bool(bool),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    Text(String),
    Texts(Vec<String>),
    U32s(Vec<u32>),
    Bytes(Vec<u8>),
}

impl Value {
    fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::U32(_) => "u",
            Self::I32(_) => "i",
            Self::U64(_) => "t",
            Self::I64(_) => "x",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::U32s(_) => "au",
            Self::Bytes(_) => "ay",
        }
    }
}

/// A property of a unit.
pub(super) type Property = (String, Value);

/// Builds a body, or a message.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, number: u32) -> &mut Self {
        self.align(4);
        self.bytes.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(&mut self, number: u64) {
        self.align(8);
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(0);
        self
    }

    fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend_from_slice(signature.as_bytes());
        self.bytes.push(0);
    }

    /// An array: its length in bytes, counted from its first element, comes before it.
    pub(super) fn array(&mut self, align: usize, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(align);
        let start = self.bytes.len();
        fill(self);
        let length = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
        self
    }

    fn value(&mut self, value: &Value) {
        match value {
            Value::Bool(value) => {
                self.u32(u32::from(*value));
            }
            Value::U32(value) => {
                self.u32(*value);
            }
            Value::I32(value) => {
                self.u32(value.cast_unsigned());
            }
            Value::U64(value) => self.u64(*value),
            Value::I64(value) => self.u64(value.cast_unsigned()),
            Value::Text(value) => {
                self.text(value);
            }
            Value::Texts(values) => {
                self.array(4, |out| {
                    for value in values {
                        out.text(value);
                    }
                });
            }
            Value::U32s(values) => {
                self.array(4, |out| {
                    for value in values {
                        out.u32(*value);
                    }
                });
            }
            Value::Bytes(values) => {
                self.array(1, |out| out.bytes.extend_from_slice(values));
            }
        }
    }

    /// `a(sv)`.
    pub(super) fn properties(&mut self, properties: &[Property]) -> &mut Self {
        self.array(8, |out| {
            for (name, value) in properties {
                out.align(8);
                out.text(name);
                out.signature(value.signature());
                out.value(value);
            }
        })
    }

    pub(super) fn finish(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }
}

/// A method to be called.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) destination: &'a str,
    pub(super) path: &'a str,
    pub(super) interface: &'a str,
    pub(super) member: &'a str,
    pub(super) signature: &'a str,
    pub(super) body: Vec<u8>,
}

impl Call<'_> {
    /// The message, with the caller's number for it.
    pub(super) fn message(&self, serial: u32) -> Vec<u8> {
        const METHOD_CALL: u8 = 1;
        const PROTOCOL: u8 = 1;
        let mut out = Writer { bytes: vec![b'l', METHOD_CALL, 0, PROTOCOL] };
        out.u32(u32::try_from(self.body.len()).unwrap_or(u32::MAX)).u32(serial);
        out.array(8, |out| {
            let mut field = |code: u8, signature: &str, text: &str| {
                out.align(8);
                out.bytes.push(code);
                out.signature(signature);
                if signature == "g" {
                    out.signature(text);
                } else {
                    out.text(text);
                }
            };
            field(1, "o", self.path);
            field(2, "s", self.interface);
            field(3, "s", self.member);
            field(6, "s", self.destination);
            if !self.signature.is_empty() {
                field(8, "g", self.signature);
            }
        });
        out.align(8);
        let mut message = out.finish();
        message.extend_from_slice(&self.body);
        message
    }
}

/// What the other side sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// 2 a reply, 3 an error, 4 a signal.
    pub(super) kind: u8,
    pub(super) reply_to: Option<u32>,
    pub(super) member: Option<String>,
    pub(super) error: Option<String>,
    pub(super) body: Vec<u8>,
}

/// The fixed beginning of every message.
pub(super) const FIXED_BYTES: usize = 16;
/// A manager's answers are short; what claims to be longer is not read.
const LONGEST_BYTES: usize = 1 << 20;

/// How many bytes follow the fixed ones: None where they do not begin a message that is meant for us.
pub(super) fn bytes_left(fixed: &[u8; FIXED_BYTES]) -> Option<usize> {
    let number = |at: usize| Some(u32::from_le_bytes(fixed.get(at..at + 4)?.try_into().ok()?) as usize);
    if fixed[0] != b'l' || fixed[3] != 1 {
        return None;
    }
    let (body, fields) = (number(4)?, number(12)?);
    let left = fields.next_multiple_of(8).checked_add(body)?;
    (left <= LONGEST_BYTES).then_some(left)
}

/// Reads the rest of a message.
pub(super) fn parse(fixed: &[u8; FIXED_BYTES], rest: &[u8]) -> Option<Message> {
    let mut message = Message { kind: fixed[1], ..Message::default() };
    let body = u32::from_le_bytes(fixed.get(4..8)?.try_into().ok()?) as usize;
    let fields = u32::from_le_bytes(fixed.get(12..16)?.try_into().ok()?) as usize;
    let mut reader = Reader { bytes: rest.get(..fields)?, at: 0 };
    while reader.at < fields {
        reader.align(8);
        let code = reader.byte()?;
        let signature = reader.signature()?;
        match (code, signature) {
            (3, "s") => message.member = Some(reader.text()?.to_owned()),
            (4, "s") => message.error = Some(reader.text()?.to_owned()),
            (5, "u") => message.reply_to = Some(reader.u32()?),
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            (_, "u") => drop(reader.u32()?),
            _ => return None,
        }
    }
    message.body = rest.get(rest.len().checked_sub(body)?..)?.to_owned();
    Some(message)
}

/// Reads a body, value by value.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.bytes.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.align(4);
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    /// A string or an object's path.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        let length = self.u32()? as usize;
        let text = self.take(length)?;
        self.byte()?;
        std::str::from_utf8(text).ok()
    }

    pub(super) fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()?.into();
        let text = self.take(length)?;
        self.byte()?;
        std::str::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes that the specification's rules give, counted out by hand.
    #[test]
    fn properties_are_aligned_as_structures_of_name_and_variant() {
        let body = Writer::default().text("u").properties(&[("A".into(), Value::U64(5))]).finish();
        assert_eq!(body[..8], [1, 0, 0, 0, b'u', 0, 0, 0]);
        // The length is at 8, the first structure at 16: name (4 + 1 + 1), signature (1 + 1 + 1), padding to 32, 8 bytes.
        assert_eq!(body[8..12], [24, 0, 0, 0]);
        assert_eq!(body[16..22], [1, 0, 0, 0, b'A', 0]);
        assert_eq!(body[22..25], [1, b't', 0]);
        assert_eq!(body[32..40], [5, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(body.len(), 40);
    }

    #[test]
    fn a_message_that_is_cut_or_mangled_anywhere_is_no_message_and_no_panic() {
        let body = Writer::default().u32(7).text("/job/7").finish();
        let call = Call { destination: "d", path: "/p", interface: "i", member: "m", signature: "uo", body };
        let bytes = call.message(9);
        let read = |bytes: &[u8]| {
            let fixed = bytes.get(..FIXED_BYTES)?.try_into().ok()?;
            let left = bytes_left(&fixed)?;
            parse(&fixed, bytes.get(FIXED_BYTES..FIXED_BYTES + left)?)
        };
        let message = read(&bytes).unwrap();
        assert_eq!((message.kind, message.member.as_deref()), (1, Some("m")));
        let mut reader = Reader::new(&message.body);
        assert_eq!((reader.u32(), reader.text(), reader.text()), (Some(7), Some("/job/7"), None));
        for cut in 0..bytes.len() {
            assert!(read(&bytes[..cut]).is_none());
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut mangled = bytes.clone();
                mangled[at] = value;
                if let Some(message) = read(&mangled) {
                    let _ = Reader::new(&message.body).text();
                }
            }
        }
    }
}
