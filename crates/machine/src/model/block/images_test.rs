//! Images of `qcow2`: what is written is read, here and by `qemu-img`, which finds nothing
//! wrong.

use std::path::PathBuf;
use std::process::Command;

use proptest::prelude::*;

use super::*;
use crate::schema::BlockdevOptions;
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;

/// The size of the disks, which no size of clusters divides.
const SIZE: usize = 300 * 1024 + 512;

struct Images {
    blocks: Blocks,
    dir: tempfile::TempDir,
}

impl Images {
    fn new() -> Self {
        Images {
            blocks: Blocks::default(),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a node of options, in which `DIR` is the directory.
    fn add(&mut self, text: &str) {
        let text = text.replace("DIR", &self.dir.path().display().to_string());
        let dict = keyval_parse(&text, Some("driver")).unwrap();
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        let options = BlockdevOptions::visit_in(&mut v, "").unwrap();
        self.blocks.add(&options).unwrap();
    }

    fn make(&mut self, name: &str, new: &NewImage) {
        let path = self.path(name);
        std::fs::File::create(&path).unwrap();
        self.add(&format!("file,node-name={name}-file,filename=DIR/{name}"));
        let id = self.blocks.id(&format!("{name}-file")).unwrap();
        let mut file = io::NodeBytes {
            blocks: &mut self.blocks,
            id,
        };
        Qcow2::create(&mut file, new).unwrap();
    }

    /// Checks an image by `qemu-img`, and the bytes it reads. The image is closed.
    fn check(&self, name: &str, bytes: &[u8]) {
        if !has_qemu_img() {
            return;
        }
        let path = self.path(name);
        let check = Command::new("qemu-img").arg("check").arg(&path).output();
        let check = check.unwrap();
        let text = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.success(), "{text}");
        let raw = self.path("raw");
        let status = Command::new("qemu-img")
            .args(["convert", "-O", "raw"])
            .args([&path, &raw])
            .status();
        assert!(status.unwrap().success());
        assert!(
            std::fs::read(raw).unwrap() == bytes,
            "other bytes in {name}"
        );
    }
}

fn has_qemu_img() -> bool {
    let found = Command::new("qemu-img").arg("--version").output().is_ok();
    if !found {
        eprintln!("qemu-img is missing: images are checked by this program alone");
    }
    found
}

#[derive(Debug, Clone)]
enum Step {
    Write(usize, usize, u8),
    Zero(usize, usize),
    Discard(usize, usize),
    Snapshot,
    Goto(usize),
    Delete(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let piece = (0..SIZE / 512, 1..200_usize);
    let piece = piece.prop_map(|(at, length)| (at * 512, (length * 512).min(SIZE - at * 512)));
    prop_oneof![
        6 => (piece.clone(), 1..255_u8).prop_map(|((at, length), b)| Step::Write(at, length, b)),
        3 => piece.clone().prop_map(|(at, length)| Step::Zero(at, length)),
        2 => piece.prop_map(|(at, length)| Step::Discard(at, length)),
        1 => Just(Step::Snapshot),
        1 => (0..4_usize).prop_map(Step::Goto),
        1 => (0..4_usize).prop_map(Step::Delete),
        1 => Just(Step::Reopen),
    ]
}

/// Plays steps on an image above another one, beside a copy in memory.
struct Play {
    images: Images,
    bytes: Vec<u8>,
    below: Option<Vec<u8>>,
    snapshots: Vec<(String, Vec<u8>)>,
}

impl Play {
    fn open(&mut self) {
        self.images.add("qcow2,node-name=top,file=top-file");
    }

    fn step(&mut self, step: &Step) {
        let blocks = &mut self.images.blocks;
        match step {
            Step::Write(at, length, value) => {
                let bytes = vec![*value; *length];
                blocks.write("top", *at as u64, &bytes).unwrap();
                self.bytes[*at..at + length].copy_from_slice(&bytes);
            }
            Step::Zero(at, length) => {
                blocks
                    .write_zeroes("top", *at as u64, *length as u64)
                    .unwrap();
                self.bytes[*at..at + length].fill(0);
            }
            Step::Discard(at, length) => {
                blocks.discard("top", *at as u64, *length as u64).unwrap();
                // Old bytes or zeros, and those of version 2 of the image below.
                let mut now = vec![0; *length];
                blocks.read("top", *at as u64, &mut now).unwrap();
                let below = self.below.as_ref();
                for (i, byte) in now.iter().enumerate() {
                    let below = below.map_or(0, |bytes| bytes[at + i]);
                    assert!([0, below, self.bytes[at + i]].contains(byte));
                }
                self.bytes[*at..at + length].copy_from_slice(&now);
            }
            Step::Snapshot => {
                let id = self.images.blocks.snapshot_save("top", "s", (1, 2), 3, 0);
                self.snapshots.push((id.unwrap(), self.bytes.clone()));
            }
            Step::Goto(n) => {
                if let Some((id, bytes)) = self.snapshots.get(*n) {
                    blocks.snapshot_load("top", id).unwrap();
                    self.bytes.clone_from(bytes);
                }
            }
            Step::Delete(n) => {
                if *n < self.snapshots.len() {
                    let (id, _) = self.snapshots.remove(*n);
                    blocks.snapshot_delete("top", &id).unwrap();
                }
            }
            Step::Reopen => {
                blocks.close("top");
                self.images.check("top", &self.bytes);
                self.open();
            }
        }
        let mut now = vec![0; SIZE];
        self.images.blocks.read("top", 0, &mut now).unwrap();
        assert!(now == self.bytes, "other bytes after {step:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn what_is_written_is_read(
        bits in prop_oneof![Just(9_u32), Just(12), Just(16), Just(18)],
        order in 2..7_u32,
        version in 2..4_u32,
        has_below in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..25),
    ) {
        let mut images = Images::new();
        let below = has_below.then(|| {
            let bytes: Vec<u8> = (0..SIZE / 2).map(|i| (i / 700) as u8).collect();
            std::fs::write(images.path("below"), &bytes).unwrap();
            let mut bytes = bytes;
            bytes.resize(SIZE, 0);
            bytes
        });
        let new = NewImage {
            version,
            cluster_size: 1 << bits,
            refcount_bits: if version == 2 { 16 } else { 1 << order },
            backing: has_below.then(|| "below".to_owned()),
            backing_format: has_below.then(|| "raw".to_owned()),
            ..NewImage::new(SIZE as u64)
        };
        images.make("top", &new);
        let bytes = below.clone().unwrap_or_else(|| vec![0; SIZE]);
        let mut play = Play { images, bytes, below, snapshots: Vec::new() };
        play.open();
        for step in &steps {
            play.step(step);
        }
        play.step(&Step::Reopen);
    }
}
