//! What an image keeps when it is closed: bitmaps and snapshots, which `qemu-img` sees too.

use std::process::Command;

use super::*;
use crate::schema::{BlockdevDriver, BlockdevOptions};
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;

struct Kept {
    blocks: Blocks,
    dir: tempfile::TempDir,
}

impl Kept {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut blocks = Blocks::default();
        let new = NewFile {
            filename: dir.path().join("image").display().to_string(),
            format: BlockdevDriver::Qcow2,
            size: 1 << 20,
            backing: None,
        };
        blocks.create_image(&new).unwrap();
        let mut kept = Kept { blocks, dir };
        kept.open();
        kept
    }

    fn open(&mut self) {
        let path = self.dir.path().join("image").display().to_string();
        let text = format!("qcow2,node-name=n,file.driver=file,file.filename={path}");
        let dict = keyval_parse(&text, Some("driver")).unwrap();
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        let options = BlockdevOptions::visit_in(&mut v, "").unwrap();
        self.blocks.add(&options).unwrap();
    }

    fn add(&mut self, name: &str, persistent: bool) {
        let new = NewBitmap {
            name: name.to_owned(),
            granularity: None,
            persistent,
            disabled: false,
        };
        self.blocks.bitmap_add("n", &new).unwrap();
    }

    /// What `qemu-img` says of the image; `None` without it.
    fn qemu_img(&self, arguments: &[&str]) -> Option<String> {
        let path = self.dir.path().join("image");
        let mut command = Command::new("qemu-img");
        let output = command.args(arguments).arg(path).output().ok()?;
        assert!(output.status.success(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap())
    }
}

#[test]
fn persistent_bitmaps_are_kept() {
    let mut kept = Kept::new();
    kept.add("stays", true);
    kept.add("goes", false);
    kept.blocks.write("n", 70_000, &[1; 10]).unwrap();
    kept.blocks.close("n");
    if let Some(text) = kept.qemu_img(&["info"]) {
        assert!(text.contains("stays") && !text.contains("goes"), "{text}");
    }
    kept.qemu_img(&["check"]);
    kept.open();
    let bitmap = kept.blocks.bitmap("n", "stays").unwrap();
    assert_eq!(bitmap.set.bytes(), 65536);
    assert!(bitmap.set.contains(70_000) && bitmap.enabled);
    assert!(kept.blocks.bitmap("n", "goes").is_err());
    kept.blocks.bitmap_remove("n", "stays").unwrap();
    kept.blocks.close("n");
    kept.qemu_img(&["check"]);
    kept.open();
    assert!(kept.blocks.bitmap("n", "stays").is_err());
}

#[test]
fn bitmaps_of_an_image_that_was_not_closed_are_refused() {
    let mut kept = Kept::new();
    kept.add("b", true);
    kept.blocks.close("n");
    kept.open();
    // The program is killed: nothing is written at the end.
    let killed = std::mem::take(&mut kept.blocks);
    std::mem::forget(killed);
    kept.open();
    let desc = "Bitmap 'b' is inconsistent and cannot be used";
    let error = kept.blocks.bitmap_clear("n", "b").unwrap_err();
    assert_eq!(error.desc(), desc);
    kept.blocks.bitmap_remove("n", "b").unwrap();
    kept.blocks.close("n");
    kept.qemu_img(&["check"]);
}

#[test]
fn bitmaps_are_merged_cleared_and_told() {
    let mut kept = Kept::new();
    kept.add("a", false);
    kept.blocks.write("n", 0, &[1; 131_072]).unwrap();
    let digest = "35be322d094f9d154a8aba4733b8497f180353bd7ae7b0a15f90b586b549f28b";
    assert_eq!(kept.blocks.bitmap_sha256("n", "a").unwrap(), digest);
    kept.add("b", false);
    let source = [("n".to_owned(), "a".to_owned())];
    kept.blocks.bitmap_merge("n", "b", &source).unwrap();
    assert_eq!(kept.blocks.bitmap("n", "b").unwrap().set.count(), 2);
    kept.blocks.bitmap_clear("n", "a").unwrap();
    kept.blocks.bitmap_enable("n", "b", false).unwrap();
    kept.blocks.write("n", 0, &[1; 1 << 20]).unwrap();
    assert_eq!(kept.blocks.bitmap("n", "a").unwrap().set.count(), 16);
    assert_eq!(kept.blocks.bitmap("n", "b").unwrap().set.count(), 2);
}

#[test]
fn snapshots_keep_disk_and_machine() {
    let mut kept = Kept::new();
    let blocks = &mut kept.blocks;
    blocks.write("n", 0, &[1; 512]).unwrap();
    blocks.write_vm_state("n", 0, b"the machine").unwrap();
    let date = (1_700_000_000, 5);
    let id = blocks.snapshot_save("n", "first", date, 3, 11).unwrap();
    blocks.drop_vm_state("n", 11).unwrap();
    blocks.write("n", 0, &[2; 512]).unwrap();
    let text = kept.qemu_img(&["snapshot", "-U", "-l"]);
    if let Some(text) = text {
        assert!(text.contains("first") && text.contains("11 B"), "{text}");
    }
    let blocks = &mut kept.blocks;
    blocks.snapshot_load("n", &id).unwrap();
    let mut bytes = [0; 11];
    blocks.read_vm_state("n", 0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"the machine");
    blocks.read("n", 0, &mut bytes).unwrap();
    assert_eq!(bytes, [1; 11]);
    let gone = blocks.snapshot_delete("n", &id).unwrap();
    assert_eq!((gone.name.as_str(), gone.vm_state_size), ("first", 11));
    blocks.drop_vm_state("n", 11).unwrap();
    blocks.close("n");
    kept.qemu_img(&["check"]);
}

#[test]
fn compressed_clusters_are_read() {
    let mut kept = Kept::new();
    kept.blocks.close("n");
    let raw = kept.dir.path().join("raw");
    let bytes: Vec<u8> = (0..1 << 20).map(|i: u32| (i / 1000) as u8).collect();
    std::fs::write(&raw, &bytes).unwrap();
    let raw = raw.display().to_string();
    let arguments = ["convert", "-c", "-O", "qcow2", &raw];
    if kept.qemu_img(&arguments).is_none() {
        eprintln!("qemu-img is missing: no compressed image is read");
        return;
    }
    kept.open();
    let mut read = vec![0; 1 << 20];
    kept.blocks.read("n", 0, &mut read).unwrap();
    assert!(read == bytes);
    kept.blocks.write("n", 100, &[7; 10]).unwrap();
    kept.blocks.read("n", 0, &mut read).unwrap();
    assert_eq!((read[99], read[100], read[110]), (bytes[99], 7, bytes[110]));
    kept.blocks.close("n");
    kept.qemu_img(&["check"]);
}
