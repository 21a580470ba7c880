//! Images that are cut, have wrong headers, or name each other in a circle: refused in QEMU's
//! words, and nothing is left.

use super::*;
use crate::schema::BlockdevOptions;
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;

/// An image of 10 MiB without data.
fn image() -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().display().to_string();
    let new = NewFile {
        filename: path.clone(),
        format: crate::schema::BlockdevDriver::Qcow2,
        size: 10 << 20,
        backing: None,
    };
    Blocks::default().create_image(&new).unwrap();
    std::fs::read(path).unwrap()
}

fn add(blocks: &mut Blocks, text: &str) -> Result<(), Error> {
    let dict = keyval_parse(text, Some("driver")).unwrap();
    let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
    let options = BlockdevOptions::visit_in(&mut v, "").unwrap();
    blocks.add(&options)
}

fn open(bytes: &[u8]) -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    std::fs::write(&path, bytes).unwrap();
    let mut blocks = Blocks::default();
    let file = format!("file.driver=file,file.filename={}", path.display());
    let opened = add(&mut blocks, &format!("qcow2,node-name=n,{file}"));
    let left = if opened.is_ok() { 2 } else { 0 };
    assert_eq!(blocks.nodes().count(), left, "{opened:?}");
    opened
}

#[test]
fn wrong_headers_are_refused_in_qemus_words() {
    let whole = image();
    open(&whole).unwrap();
    let with = |at: usize, number: &[u8]| {
        let mut bytes = whole.clone();
        bytes[at..at + number.len()].copy_from_slice(number);
        bytes
    };
    let with32 = |at: usize, number: u32| with(at, &number.to_be_bytes());
    let with64 = |at: usize, number: u64| with(at, &number.to_be_bytes());
    let mut name_too_long = with64(8, 560);
    name_too_long[16..20].copy_from_slice(&1024_u32.to_be_bytes());
    let mut snapshots = with32(60, 1);
    snapshots[64..72].copy_from_slice(&5_u64.to_be_bytes());
    for (bytes, desc) in [
        (with32(0, 0), "Image is not in qcow2 format"),
        (Vec::new(), "Image is not in qcow2 format"),
        (whole[..4].to_vec(), "Unsupported qcow2 version 0"),
        (with32(4, 4), "Unsupported qcow2 version 4"),
        (with32(20, 8), "Unsupported cluster size: 2^8"),
        (with32(20, 22), "Unsupported cluster size: 2^22"),
        (whole[..100].to_vec(), "qcow2 header too short"),
        (with32(100, 100), "qcow2 header too short"),
        (with32(100, 100_000), "qcow2 header exceeds cluster size"),
        (
            with32(96, 7),
            "Reference count entry width too large; may not exceed 64 bits",
        ),
        (
            with32(32, 1),
            "Use of AES-CBC encrypted qcow2 images is no longer supported in system emulators",
        ),
        (
            with32(32, 2),
            "Parameter 'encrypt.key-secret' is required for cipher",
        ),
        (with32(32, 3), "Unsupported encryption method 3"),
        (with64(8, 100_000), "Invalid backing file offset"),
        (name_too_long, "Backing file name too long"),
        (with64(48, 65537), "Reference count table offset invalid"),
        (
            with32(56, 0),
            "Image does not contain a reference count table",
        ),
        (with32(56, 129), "Reference count table too large"),
        (with32(36, 0), "L1 table is too small"),
        (with32(36, 1 << 30), "Active L1 table too large"),
        (with64(40, 196_609), "Active L1 table offset invalid"),
        (with64(24, 1 << 62), "Image is too big"),
        (
            with64(24, 512_u64.wrapping_neg()),
            "Could not refresh total sector count: File too large",
        ),
        (with32(60, 70_000), "Snapshot table too large"),
        (snapshots, "Snapshot table offset invalid"),
        (
            with64(72, 2),
            "qcow2: Image is corrupt; cannot be opened read/write",
        ),
        (with64(72, 4), "'data-file' is required for this image"),
        (
            with64(72, 8),
            "qcow2: Compression type incompatible feature bit must not be set",
        ),
        (
            with64(72, 1 << 63),
            "Unsupported qcow2 feature(s): Unknown incompatible feature: 8000000000000000",
        ),
        (
            with(104, &[1]),
            "qcow2: Compression type incompatible feature bit must be set",
        ),
        (with32(116, 70_000), "Header extension too large"),
    ] {
        assert_eq!(open(&bytes).unwrap_err().desc(), desc);
    }
}

#[test]
fn cut_images_are_opened_and_read_as_zeros() {
    let whole = image();
    for length in [104, 112, 65536, 131_072, 131_080, 196_608] {
        open(&whole[..length]).unwrap();
    }
}

#[test]
fn damaged_tables_give_errors_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("image");
    let mut bytes = image();
    // The entry of the L1 table names no cluster.
    bytes[196_608..196_616].copy_from_slice(&(1_u64 << 63 | 262_656).to_be_bytes());
    std::fs::write(&path, &bytes).unwrap();
    let mut blocks = Blocks::default();
    let file = format!("file.driver=file,file.filename={}", path.display());
    add(&mut blocks, &format!("qcow2,node-name=n,{file}")).unwrap();
    let eio = Some(nix::libc::EIO);
    let error = blocks.read("n", 0, &mut [0; 512]).unwrap_err();
    assert_eq!(error.raw_os_error(), eio);
    let error = blocks.write("n", 0, &[0; 512]).unwrap_err();
    assert_eq!(error.raw_os_error(), eio);
    assert_eq!(blocks.length("n"), 10 << 20);
}

#[test]
fn images_in_a_circle_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut blocks = Blocks::default();
    let format = crate::schema::BlockdevDriver::Qcow2;
    for (name, below) in [("a", "b"), ("b", "a")] {
        let new = NewFile {
            filename: path(name),
            format,
            size: 1 << 20,
            backing: Some((below.to_owned(), Some(format))),
        };
        blocks.create_image(&new).unwrap();
    }
    let file = format!("file.driver=file,file.filename={}", path("a"));
    let error = add(&mut blocks, &format!("qcow2,node-name=n,{file}")).unwrap_err();
    let text = format!("Backing file '{}' creates an infinite loop.", path("a"));
    let other = format!("Backing file '{}' creates an infinite loop.", path("b"));
    assert!([text.as_str(), &other].contains(&error.desc()), "{error:?}");
    assert_eq!(blocks.nodes().count(), 0);
}

#[test]
fn what_is_missing_below_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let mut blocks = Blocks::default();
    let new = NewFile {
        filename: path("top"),
        format: crate::schema::BlockdevDriver::Qcow2,
        size: 1 << 20,
        backing: Some(("nosuch".to_owned(), None)),
    };
    blocks.create_image(&new).unwrap();
    let file = format!("file.driver=file,file.filename={}", path("top"));
    let error = add(&mut blocks, &format!("qcow2,node-name=n,{file}")).unwrap_err();
    let text = format!(
        "Could not open backing file: Could not open '{}': No such file or directory",
        path("nosuch")
    );
    assert_eq!(error.desc(), text);
    assert_eq!(blocks.nodes().count(), 0);
}
