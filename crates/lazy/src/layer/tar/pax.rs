//! PAX extended headers (POSIX.1-2017 pax, "pax Extended Header"): records of `length key=value\n`.

use std::collections::BTreeMap;

use super::{TarFault, Time};

/// The prefix under which GNU tar, Docker and others keep extended attributes.
const XATTR: &[u8] = b"SCHILY.xattr.";

/// What the records of one extended header say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Records {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<Time>,
    pub(crate) xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) sparse: SparseRecords,
}

/// The `GNU.sparse.*` records of formats 0.0, 0.1 and 1.0.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SparseRecords {
    pub(crate) version: (Option<u64>, Option<u64>),
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// Offsets and lengths in the order found: of `GNU.sparse.map`, or of repeated `offset` and `numbytes`.
    pub(crate) map: Vec<u64>,
    pub(crate) named: bool,
}

impl Records {
    /// Reads the records of a per-file header.
    pub(crate) fn parse(&mut self, mut data: &[u8]) -> Result<(), TarFault> {
        while !data.is_empty() {
            let (key, value, rest) = record(data)?;
            self.set(key, value)?;
            data = rest;
        }
        Ok(())
    }

    /// Reads a global header: owner and time are defaults for the files that follow, comments are dropped.
    /// What would rename or resize every file is refused, as tools differ about it.
    pub(crate) fn parse_global(&mut self, data: &[u8]) -> Result<(), TarFault> {
        let mut found = Self::default();
        let mut rest = data;
        while !rest.is_empty() {
            let (key, _, after) = record(rest)?;
            let per_file = [&b"path"[..], b"linkpath", b"size"].contains(&key);
            if per_file || key.starts_with(b"GNU.sparse.") || key.starts_with(XATTR) {
                return Err(TarFault::Global(String::from_utf8_lossy(key).into_owned()));
            }
            rest = after;
        }
        found.parse(data)?;
        self.uid = found.uid.or(self.uid);
        self.gid = found.gid.or(self.gid);
        self.mtime = found.mtime.or(self.mtime);
        Ok(())
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = optional(value, |value| decimal(value, "size"))?,
            b"uid" => self.uid = optional(value, |value| decimal(value, "user"))?,
            b"gid" => self.gid = optional(value, |value| decimal(value, "group"))?,
            b"mtime" => self.mtime = optional(value, time)?,
            _ if key.starts_with(XATTR) => {
                let key = &key[XATTR.len()..];
                if key.is_empty() || key.contains(&0) {
                    return Err(TarFault::Pax);
                }
                self.xattrs.insert(key.to_vec(), value.to_vec());
            }
            _ => {
                if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.set(key, value)?;
                }
            }
        }
        Ok(())
    }
}

impl SparseRecords {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), TarFault> {
        self.named = true;
        let number = |value| decimal(value, "sparse map");
        match key {
            b"major" => self.version.0 = Some(number(value)?),
            b"minor" => self.version.1 = Some(number(value)?),
            b"name" => self.name = name(value)?,
            b"size" | b"realsize" => self.real_size = Some(number(value)?),
            b"offset" if self.map.len().is_multiple_of(2) => self.map.push(number(value)?),
            b"numbytes" if !self.map.len().is_multiple_of(2) => self.map.push(number(value)?),
            b"offset" | b"numbytes" => return Err(TarFault::Sparse),
            b"map" if value.is_empty() => {}
            b"map" => {
                self.map = value.split(|&byte| byte == b',').map(number).collect::<Result<_, _>>()?;
            }
            // numblocks says nothing that the map does not.
            _ => {}
        }
        Ok(())
    }
}

/// A key, its value, and the records behind.
type Split<'a> = (&'a [u8], &'a [u8], &'a [u8]);

/// Splits off the first record: its key, its value and what follows.
fn record(data: &[u8]) -> Result<Split<'_>, TarFault> {
    let space = data.iter().take(20).position(|&byte| byte == b' ').ok_or(TarFault::Pax)?;
    let len = decimal(&data[..space], "record length").map_err(|_| TarFault::Pax)?;
    let len = usize::try_from(len).map_err(|_| TarFault::Pax)?;
    if len > data.len() || len < space + 2 || data[len - 1] != b'\n' {
        return Err(TarFault::Pax);
    }
    let body = &data[space + 1..len - 1];
    let equals = body.iter().position(|&byte| byte == b'=').ok_or(TarFault::Pax)?;
    if equals == 0 {
        return Err(TarFault::Pax);
    }
    Ok((&body[..equals], &body[equals + 1..], &data[len..]))
}

/// A path; an empty value takes back what an earlier record said.
fn name(value: &[u8]) -> Result<Option<Vec<u8>>, TarFault> {
    if value.contains(&0) {
        return Err(TarFault::Pax);
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn optional<T>(value: &[u8], read: impl Fn(&[u8]) -> Result<T, TarFault>) -> Result<Option<T>, TarFault> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

/// Decimal digits only: no sign, no space, no fraction.
pub(crate) fn decimal(value: &[u8], what: &'static str) -> Result<u64, TarFault> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(TarFault::Number(what));
    }
    value.iter().try_fold(0_u64, |sum, &byte| {
        sum.checked_mul(10)
            .and_then(|sum| sum.checked_add(u64::from(byte - b'0')))
            .ok_or(TarFault::Range(what))
    })
}

/// Seconds with an optional sign and fraction; of the fraction, nanoseconds are kept.
fn time(value: &[u8]) -> Result<Time, TarFault> {
    const WHAT: &str = "modification time";
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let dot = value.iter().position(|&byte| byte == b'.').unwrap_or(value.len());
    let seconds = i64::try_from(decimal(&value[..dot], WHAT)?).map_err(|_| TarFault::Range(WHAT))?;
    let fraction = value.get(dot + 1..).unwrap_or_default();
    let mut nanoseconds = 0;
    for place in 0..9 {
        let digit = match fraction.get(place) {
            Some(byte @ b'0'..=b'9') => u32::from(byte - b'0'),
            Some(_) => return Err(TarFault::Number(WHAT)),
            None => 0,
        };
        nanoseconds = nanoseconds * 10 + digit;
    }
    Ok(match (negative, nanoseconds) {
        (false, _) => Time { seconds, nanoseconds },
        (true, 0) => Time { seconds: -seconds, nanoseconds: 0 },
        // -1.25 s is two seconds before the epoch and then 0.75 s on.
        (true, _) => Time { seconds: -seconds - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_xattr_value_is_accepted() {
        let mut records = Records::default();
        records.parse(b"24 SCHILY.xattr.user.x=\n").unwrap();
        assert_eq!(records.xattrs.get(&b"user.x"[..]), Some(&Vec::new()));
    }

    #[test]
    fn malformed_records_are_refused() {
        for bad in [
            &b"6 a=b"[..],
            b"5 a=b\n",
            b"99 a=b\n",
            b"a=b\n",
            b"6 =bb\n",
            b"0 \n",
            b"18446744073709551616 a=b\n",
            b"11 size=-1\n",
            b"11 path=a\0\n",
        ] {
            assert!(Records::default().parse(bad).is_err(), "{:?}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn times_keep_their_fraction_also_before_the_epoch() {
        assert_eq!(time(b"1.5"), Ok(Time { seconds: 1, nanoseconds: 500_000_000 }));
        assert_eq!(time(b"-1.25"), Ok(Time { seconds: -2, nanoseconds: 750_000_000 }));
        assert_eq!(time(b"7"), Ok(Time { seconds: 7, nanoseconds: 0 }));
    }
}
