//! Nodes are opened, shared, resized and closed as in QEMU, in its words.

use std::fs::File;

use super::*;
use crate::model::board::find_class;
use crate::model::qdev::DeviceOptions;
use crate::model::{Machine, MachineOptions};
use crate::schema::BlockdevOptions;
use qmonitor::qapi::visit::{keyval_parse, InputVisitor, QapiType};
use qmonitor::qapi::CompatPolicy;
use qmonitor::qapi::Error;

struct Disks {
    m: Machine,
    dir: tempfile::TempDir,
}

impl Disks {
    /// A PC with two files, of 1 MiB and of 1000 bytes, and a SCSI controller.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for (name, size) in [("a", 1 << 20), ("b", 1000)] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.set_len(size).unwrap();
        }
        let mut m = Machine::new(MachineOptions {
            class: find_class(qmonitor::Profile::V10_0, "pc").unwrap(),
            ..MachineOptions::default()
        });
        m.init_board(None, &mut Vec::new()).unwrap();
        let mut disks = Disks { m, dir };
        disks.device("virtio-scsi-pci,id=scsi0").unwrap();
        disks
    }

    /// Makes a node; `{a}` is the path of the file `a`.
    fn node(&mut self, text: &str) -> Result<(), Error> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let text = text.replace("{a}", &path("a")).replace("{b}", &path("b"));
        let dict = keyval_parse(&text, Some("driver"))?;
        let mut v = InputVisitor::new_keyval(dict, CompatPolicy::default());
        let options = BlockdevOptions::visit_in(&mut v, "")?;
        self.m.blocks.add(&options)
    }

    fn device(&mut self, text: &str) -> Result<(), Error> {
        let options = DeviceOptions::new(keyval_parse(text, Some("driver"))?, true)?;
        let added = self.m.device_add(&options, true, CompatPolicy::default());
        added.map(|_| ())
    }

    #[track_caller]
    fn refused(&mut self, text: &str, desc: &str) {
        let before = self.m.blocks.nodes().count();
        assert_eq!(self.node(text).unwrap_err().desc(), desc, "{text}");
        assert_eq!(
            self.m.blocks.nodes().count(),
            before,
            "{text} leaves a node"
        );
    }
}

#[test]
fn nodes_are_files_or_show_other_nodes() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks.node("raw,file=f,node-name=r").unwrap();
    disks
        .node("raw,file.driver=file,file.filename={b},node-name=s,read-only=on")
        .unwrap();
    let blocks = &disks.m.blocks;
    assert_eq!(blocks.length("r"), 1 << 20);
    assert_eq!(blocks.length("s"), 1024, "whole sectors");
    let names: Vec<_> = blocks.nodes().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["s", "#block001", "r", "f"]);
    assert!(blocks.node("#block001").unwrap().read_only);
    assert!(blocks.node("r").unwrap().filename.ends_with("/a"));
}

#[test]
fn what_cannot_be_opened_is_named() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks.node("raw,file=f,node-name=r").unwrap();
    for (text, desc) in [
        (
            "file,filename={a}",
            "'node-name' must be specified for the root node",
        ),
        ("file,filename={a},node-name=1x", "Invalid node-name: '1x'"),
        (
            "file,filename={a},node-name=f",
            "Duplicate nodes with node-name='f'",
        ),
        (
            "file,filename=/nosuch,node-name=x",
            "Could not open '/nosuch': No such file or directory",
        ),
        (
            "file,filename=/,node-name=x,read-only=on",
            "Could not open '/': Is a directory",
        ),
        ("file,node-name=x", "Parameter 'filename' is missing"),
        (
            "foo,node-name=x",
            "Parameter 'driver' does not accept value 'foo'",
        ),
        ("qcow2,node-name=x", "Parameter 'file' is missing"),
        ("dmg,file=f,node-name=x", "Unknown driver 'dmg'"),
        (
            "raw,file=zz,node-name=x",
            "Cannot find device='zz' nor node-name='zz'",
        ),
        (
            "raw,file.driver=file,file.filename=/nosuch,node-name=x",
            "Could not open '/nosuch': No such file or directory",
        ),
    ] {
        disks.refused(text, desc);
    }
}

#[test]
fn views_share_a_node_that_one_of_them_writes() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks.node("raw,file=f,node-name=r").unwrap();
    disks.node("raw,file=f,node-name=x").unwrap();
    disks.device("scsi-hd,drive=r,id=d").unwrap();
    for (device, conflict) in [
        (
            "scsi-hd,drive=x,id=e",
            "required by node 'r' (uses node 'f' as 'file' child) and unshared by node 'x' (uses \
             node 'f' as 'file' child).",
        ),
        (
            "scsi-hd,drive=f,id=e",
            "required by node 'r' (uses node 'f' as 'file' child) and unshared by block device \
             'e' (uses node 'f' as 'root' child).",
        ),
    ] {
        let e = disks.device(device).unwrap_err();
        let start = "Permission conflict on node 'f': permissions 'write' are both ";
        assert_eq!(e.desc(), format!("{start}{conflict}"));
    }
}

#[test]
fn a_node_in_use_stays() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks.node("raw,file=f,node-name=r").unwrap();
    disks.device("scsi-hd,drive=r,id=d").unwrap();
    let del = |disks: &mut Disks, name: &str| disks.m.blockdev_del(name).unwrap_err();
    assert_eq!(del(&mut disks, "f").desc(), "Block device f is in use");
    assert_eq!(del(&mut disks, "r").desc(), "Node r is in use");
    let desc = "Failed to find node with node-name='x'";
    assert_eq!(del(&mut disks, "x").desc(), desc);
    let e = disks.device("scsi-hd,drive=r,id=e").unwrap_err();
    assert!(
        e.desc().starts_with("Permission conflict on node 'r'"),
        "{e:?}"
    );
    let device = disks.m.find_device("d").unwrap();
    assert!(disks.m.device_unplug(device).is_ok());
    disks.m.blockdev_del("r").unwrap();
    disks.m.blockdev_del("f").unwrap();
    assert_eq!(disks.m.blocks.nodes().count(), 0);
}

#[test]
fn what_was_made_for_a_node_goes_with_it() {
    let mut disks = Disks::new();
    disks
        .node("raw,file.driver=file,file.filename={b},node-name=s")
        .unwrap();
    disks.m.blockdev_del("s").unwrap();
    assert_eq!(disks.m.blocks.nodes().count(), 0);
}

#[test]
fn disks_are_resized_with_their_files() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks
        .node("file,filename={b},node-name=ro,read-only=on")
        .unwrap();
    let blocks = &mut disks.m.blocks;
    blocks.resize("f", 2 << 20).unwrap();
    assert_eq!(blocks.length("f"), 2 << 20);
    for (name, size, desc) in [
        ("x", 1, "Cannot find device='' nor node-name='x'"),
        ("f", -1, "Parameter 'size' expects a >0 size"),
        ("ro", 1, "Image is read-only"),
    ] {
        assert_eq!(blocks.resize(name, size).unwrap_err().desc(), desc);
    }
    let length = std::fs::metadata(disks.dir.path().join("a")).unwrap().len();
    assert_eq!(length, 2 << 20);
}

#[test]
fn drives_have_names_and_limits() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks.device("virtio-blk-pci,drive=f,id=v").unwrap();
    disks.device("scsi-cd,id=cd").unwrap();
    let drives = disks.m.drives();
    let names: Vec<_> = drives
        .iter()
        .map(|d| (d.qdev.as_deref().unwrap(), d.removable))
        .collect();
    let backend = "/machine/peripheral/v/virtio-backend";
    assert_eq!(names, [(backend, false), ("cd", true)]);
    let limits = IoLimits {
        iops: [150, 0, 0],
        ..IoLimits::default()
    };
    disks.m.set_io_limits(backend, limits).unwrap();
    assert_eq!(disks.m.drives()[0].limits, limits);
    let both = IoLimits {
        bps: [1, 1, 0],
        ..IoLimits::default()
    };
    for (qdev, limits, desc) in [
        ("cd", limits, "Device has no medium"),
        ("x", limits, "Device 'x' not found"),
        (
            "v",
            both,
            "bps/iops/max total values and read/write values cannot be used at the same time",
        ),
    ] {
        let e = disks.m.set_io_limits(qdev, limits).unwrap_err();
        assert_eq!(e.desc(), desc);
    }
    disks.m.set_io_limits("v", IoLimits::default()).unwrap();
    assert!(disks.m.drives()[0].limits.is_unlimited());
}

#[test]
fn bytes_go_through_views_to_the_file() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    disks
        .node("raw,file=f,node-name=r,offset=512,size=1024")
        .unwrap();
    disks.node("copy-on-read,file=r,node-name=c").unwrap();
    disks.node("null-co,size=1024,node-name=n").unwrap();
    let blocks = &mut disks.m.blocks;
    assert_eq!(blocks.length("c"), 1024);
    blocks.write("c", 256, &[7; 512]).unwrap();
    let mut bytes = [0; 8];
    blocks.read("f", 512 + 256 - 4, &mut bytes).unwrap();
    assert_eq!(bytes, [0, 0, 0, 0, 7, 7, 7, 7]);
    blocks.write_zeroes("r", 0, 1024).unwrap();
    blocks.read("c", 256, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 8]);
    assert_eq!(blocks.status("n", 0, 512).unwrap().kind, ExtentKind::Data);
    let e = blocks.write("c", 1000, &[0; 100]).unwrap_err();
    assert_eq!(e.raw_os_error(), Some(nix::libc::EIO));
}

#[test]
fn filters_of_jobs_copy_what_is_written() {
    let mut disks = Disks::new();
    disks.node("file,filename={a},node-name=f").unwrap();
    for name in ["old", "new"] {
        let path = disks.dir.path().join(name);
        File::create(&path).unwrap().set_len(1 << 20).unwrap();
        let text = format!("file,filename={},node-name={name}", path.display());
        disks.node(&text).unwrap();
    }
    disks.device("scsi-hd,drive=f,id=d").unwrap();
    let blocks = &mut disks.m.blocks;
    blocks.write("f", 0, &[1; 512]).unwrap();
    let mut todo = Granules::new(65536, 1 << 20);
    todo.fill();
    let copy_before = Bitmap {
        name: None,
        owner: Some("job0".to_owned()),
        set: todo,
        enabled: true,
        persistent: false,
        busy: true,
        inconsistent: false,
    };
    let filter = Filter {
        copy_before: blocks.id("old").map(|id| (id, copy_before)),
        copy_after: blocks.id("new"),
    };
    let top = blocks.add_filter(None, "mirror_top", "f", filter).unwrap();
    disks.m.replace_node("f", &top).unwrap();
    assert_eq!(disks.m.drives()[0].node.as_deref(), Some(top.as_str()));
    let blocks = &mut disks.m.blocks;
    blocks.write(&top, 0, &[2; 512]).unwrap();
    let mut byte = [0; 1];
    for (name, value) in [("f", 2), ("old", 1), ("new", 2)] {
        blocks.read(name, 0, &mut byte).unwrap();
        assert_eq!(byte[0], value, "{name}");
    }
    disks.m.replace_node(&top, "f").unwrap();
    disks.m.blocks.close(&top);
    assert_eq!(disks.m.drives()[0].node.as_deref(), Some("f"));
    assert_eq!(disks.m.blocks.nodes().count(), 3);
}
