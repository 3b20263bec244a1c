//! The access trace: which frames a run touched, in the order that it did.

use std::io::Read;

use super::sealed::{FormatError, Kind};

const KIND: Kind = Kind { magic: b"GFRTRACE", version: 1, what: "access trace" };

/// Frames in the order of their first touch.
///
/// ```text
/// diff ID (32 bytes) | frames of the layer (u32) | frames touched (u32) | their numbers (u32 each)
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    diff_id: [u8; 32],
    order: Vec<u32>,
    /// One bit for each frame.
    seen: Vec<u64>,
    frames: u32,
}

impl Trace {
    /// Nothing touched yet, of the layer with this diff ID and number of frames.
    pub fn new(diff_id: [u8; 32], frames: u32) -> Self {
        Self { diff_id, order: Vec::new(), seen: vec![0; frames.div_ceil(64) as usize], frames }
    }

    /// Notes a touch; only the first of each frame counts, and none of frames that there are not.
    pub fn touch(&mut self, frame: u32) {
        if frame >= self.frames {
            return;
        }
        let (word, bit) = (&mut self.seen[frame as usize / 64], 1 << (frame % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.order.push(frame);
        }
    }

    /// The frames touched, first things first.
    pub fn frames(&self) -> &[u32] {
        &self.order
    }

    /// Reads a trace of the layer with this diff ID and number of frames, as hostile.
    ///
    /// # Errors
    /// It cannot be read, is none, is damaged, is another layer's, or names frames twice or that there are not.
    pub fn read(from: impl Read, diff_id: &[u8; 32], frames: u32) -> Result<Self, FormatError> {
        let body = KIND.open(from, 40 + 4 * u64::from(frames))?;
        let mut fields = body.fields();
        let short = || KIND.refused("it ends too early");
        if fields.bytes().ok_or_else(short)? != *diff_id || fields.u32().ok_or_else(short)? != frames {
            return Err(KIND.refused("it belongs to another layer"));
        }
        let count = fields.u32().ok_or_else(short)?;
        if count > frames || fields.left_bytes() != count as usize * 4 {
            return Err(KIND.refused("it has not as many frames as it says"));
        }
        let mut trace = Self::new(*diff_id, frames);
        for _ in 0..count {
            trace.touch(fields.u32().ok_or_else(short)?);
        }
        if trace.order.len() != count as usize {
            return Err(KIND.refused("it names a frame twice, or one that there is not"));
        }
        Ok(trace)
    }

    /// The file that [`Self::read`] reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.diff_id.to_vec();
        body.extend(self.frames.to_le_bytes());
        // No frame is there twice.
        body.extend(u32::try_from(self.order.len()).unwrap_or(u32::MAX).to_le_bytes());
        for frame in &self.order {
            body.extend(frame.to_le_bytes());
        }
        KIND.seal(&body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_keeps_the_order_of_first_touches() {
        let mut trace = Trace::new([1; 32], 100);
        for frame in [7, 3, 7, 99, 100, 3, 0] {
            trace.touch(frame);
        }
        assert_eq!(trace.frames(), [7, 3, 99, 0]);
        let file = trace.encode();
        assert_eq!(Trace::read(file.as_slice(), &[1; 32], 100).unwrap(), trace);
        assert!(Trace::read(file.as_slice(), &[2; 32], 100).is_err());
        assert!(Trace::read(file.as_slice(), &[1; 32], 99).is_err());
    }
}
