//! Archives made header by header, also such as no tool would make.

/// A tar archive under way.
#[derive(Default, Clone)]
pub struct Archive(pub Vec<u8>);

impl Archive {
    /// An entry whose header says `size`, whatever `data` is.
    pub fn raw(mut self, kind: u8, name: &str, link: &str, size: u64, data: &[u8]) -> Self {
        let mut block = [0_u8; 512];
        let mut put = |at: usize, text: &[u8]| block[at..at + text.len()].copy_from_slice(text);
        put(0, &name.as_bytes()[..name.len().min(100)]);
        put(100, b"0000644\0");
        put(108, b"0000000\0");
        put(116, b"0000000\0");
        if size < 1 << 33 {
            put(124, format!("{size:011o}\0").as_bytes());
        } else {
            put(124, &[0x80, 0, 0, 0]);
            put(128, &size.to_be_bytes());
        }
        put(136, b"00000000000\0");
        put(156, &[kind]);
        put(157, link.as_bytes());
        put(257, b"ustar\x0000");
        put(329, b"0000001\0");
        put(337, b"0000003\0");
        put(148, b"        ");
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(block);
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(b'0', name, "", data.len() as u64, data)
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(b'5', name, "", 0, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(b'2', name, target, 0, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(b'1', name, target, 0, b"")
    }

    /// PAX records for the entry that follows.
    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let mut len = key.len() + value.len() + 3;
            while len != key.len() + value.len() + 3 + len.to_string().len() {
                len = key.len() + value.len() + 3 + len.to_string().len();
            }
            data.extend(format!("{len} {key}=").into_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        let len = data.len() as u64;
        self.raw(b'x', "PaxHeaders/x", "", len, &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}
