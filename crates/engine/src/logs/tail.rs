//! Finding the last lines of a log from its end, without reading what lies before them.

use super::record::LogRecord;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

const BLOCK_BYTES: usize = 64 * 1024;

/// Drops the files that hold none of the last `tail` lines, and puts the first of the rest to where they begin. A line
/// may be several records; what follows the last newline counts as one too.
pub(super) fn skip_to_tail(files: &mut VecDeque<File>, tail: usize) -> io::Result<()> {
    let mut counted = 0;
    let mut newest = true;
    for at in (0..files.len()).rev() {
        let Some(file) = files.get_mut(at) else { break };
        let mut starts_at = None;
        backwards(file, |offset, line| {
            let Some(record) = LogRecord::parse(line) else { return true };
            if !record.partial || newest {
                if counted == tail {
                    starts_at = Some(offset);
                    return false;
                }
                counted += 1;
            }
            newest = false;
            true
        })?;
        if let Some(offset) = starts_at {
            file.seek(SeekFrom::Start(offset))?;
            files.drain(..at);
            return Ok(());
        }
    }
    Ok(())
}

/// Hands out the whole lines of `file` from the last to the first, each with the offset of what follows it, until `see`
/// has seen enough.
fn backwards(file: &File, mut see: impl FnMut(u64, &[u8]) -> bool) -> io::Result<()> {
    let mut begin = file.metadata()?.len();
    // From `begin` to the end of the first whole line that has not been handed out.
    let mut text: Vec<u8> = Vec::new();
    loop {
        while let Some(last) = text.pop() {
            if last != b'\n' {
                continue; // Half a line, at the end of the file.
            }
            let Some(before) = text.iter().rposition(|byte| *byte == b'\n') else {
                text.push(last);
                break;
            };
            let end = begin + u64::try_from(text.len()).unwrap_or(u64::MAX) + 1;
            if !see(end, text.get(before + 1..).unwrap_or_default()) {
                return Ok(());
            }
            text.truncate(before + 1);
        }
        if begin == 0 {
            let end = u64::try_from(text.len()).unwrap_or(u64::MAX);
            if let Some((_, line)) = text.split_last() {
                see(end, line);
            }
            return Ok(());
        }
        let len = usize::try_from(begin).unwrap_or(usize::MAX).min(BLOCK_BYTES);
        begin -= u64::try_from(len).unwrap_or(begin);
        let mut block = vec![0; len];
        file.read_exact_at(&mut block, begin)?;
        block.append(&mut text);
        text = block;
    }
}
