//! What this program is when it is started again: a filler or a holder.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gaufre_lazy::fill::{Filled, FillerError, Handles, Job, Numbers, ZstdFrames, fill, hold};
use gaufre_lazy::frames::FrameMap;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::FRAME_BYTES;

pub(crate) fn be_holder(arguments: &[String]) {
    let (pid, numbers) = owner(arguments);
    let handles = Handles::copy_from(pidfd_open(pid, PidfdFlags::empty()).unwrap(), numbers).unwrap();
    let Numbers { group, log, data } = handles.numbers();
    println!("{group} {log} {data}");
    hold(handles, io::stdin()).unwrap();
}

/// Arguments: the holder and its numbers, the directory, and what is wrong with the source.
pub(crate) fn be_filler(arguments: &[String]) {
    let (pid, numbers) = owner(arguments);
    let (dir, fault) = (Path::new(&arguments[4]), arguments[5].as_str());
    let holder = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let handles = Handles::copy_from(&holder, numbers).unwrap();
    let map = FrameMap::read(File::open(dir.join("frames")).unwrap()).unwrap();
    let blob = File::open(dir.join("blob")).unwrap();
    let present =
        File::options().read(true).write(true).create(true).truncate(false).open(dir.join("present"));
    let fetched = AtomicUsize::new(0);
    let source = ZstdFrames(|range: std::ops::Range<u64>| {
        // Slow enough that most kills find something under way.
        std::thread::sleep(Duration::from_millis(2));
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap()];
        blob.read_exact_at(&mut bytes, range.start)?;
        match fault {
            "away" if fetched.fetch_add(1, Ordering::Relaxed).is_multiple_of(3) => {
                Err(io::ErrorKind::TimedOut.into())
            }
            // Another frame, well compressed.
            "wrong" => zstd::bulk::compress(&[0; FRAME_BYTES as usize], 1),
            _ => Ok(bytes),
        }
    });
    let filled = fill(Job {
        handles: &handles,
        holder: holder.as_fd(),
        map: &map,
        present: present.unwrap(),
        source: &source,
        prefetch: &[],
        patience: Duration::from_secs(if fault == "wrong" { 1 } else { 600 }),
        workers: 3,
    });
    match filled {
        Ok(Filled { trace }) => fs::write(dir.join("trace"), trace.encode()).unwrap(),
        Err(FillerError::HolderDied) => std::process::exit(3),
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

fn owner(arguments: &[String]) -> (Pid, Numbers) {
    let number = |at: usize| arguments[at].parse::<i32>().unwrap();
    (Pid::from_raw(number(0)).unwrap(), Numbers { group: number(1), log: number(2), data: number(3) })
}
