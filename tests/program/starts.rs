//! Command lines of tools start a machine: with and without tolerance for unknown options.

use std::path::Path;

use crate::common::Server;

const TOOLS: &str = include_str!("starts/tools.txt");

/// Name and arguments of each tool.
fn tools() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    let lines = TOOLS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| {
        let (name, args) = line.split_once(": ").expect("a name and arguments");
        (name, args.split(' ').collect())
    })
}

/// The size of a kernel's setup, and where it says that it is one.
const SETUP: usize = 16 << 10;
const MAGIC: usize = 0x202;

/// Makes the files that the command lines name.
fn provide(dir: &Path) {
    let write = |name: &str, bytes: &[u8]| std::fs::write(dir.join(name), bytes).expect(name);
    write("disk.raw", &vec![0; 1 << 20]);
    write("seed.iso", &vec![0; 64 << 10]);
    write("initrd", &[0; 512]);
    let mut kernel = vec![0; SETUP];
    kernel[MAGIC..MAGIC + 4].copy_from_slice(b"HdrS");
    write("bzImage", &kernel);
    for name in ["disk.qcow2", "b.qcow2"] {
        write(name, &qcow2());
    }
    for (name, size) in [
        ("b.raw", 1 << 20),
        ("nv.raw", 16 << 20),
        ("floppy.img", 1_474_560),
        ("OVMF_CODE.fd", 3_653_632),
        ("OVMF_VARS.fd", 540_672),
        ("OVMF.fd", 4 << 20),
    ] {
        let file = std::fs::File::create(dir.join(name)).expect(name);
        file.set_len(size).expect(name);
    }
    std::fs::create_dir(dir.join("share")).expect("a folder");
    let conf = "[device \"qemu_pcie0\"]\ndriver = \"pcie-root-port\"\nbus = \"pcie.0\"\n\
                addr = \"1.0\"\nchassis = \"0\"\nmultifunction = \"on\"\n\n\
                [device \"qemu_balloon\"]\ndriver = \"virtio-balloon-pci\"\n\
                bus = \"qemu_pcie0\"\naddr = \"00.0\"\n\n\
                [object \"qemu_rng\"]\nqom-type = \"rng-random\"\nfilename = \"/dev/urandom\"\n";
    write("incus.conf", conf.as_bytes());
}

/// An image of version 2 with four clusters: header, table of counts, counts, L1 table.
fn qcow2() -> Vec<u8> {
    const CLUSTER: usize = 64 << 10;
    let mut image = vec![0; 4 * CLUSTER];
    let mut put = |at: usize, bytes: &[u8]| image[at..at + bytes.len()].copy_from_slice(bytes);
    let place = |cluster: usize| ((cluster * CLUSTER) as u64).to_be_bytes();
    put(0, b"QFI\xfb\0\0\0\x02");
    put(20, &16u32.to_be_bytes());
    put(24, &(1u64 << 20).to_be_bytes());
    put(36, &1u32.to_be_bytes());
    put(40, &place(3));
    put(48, &place(1));
    put(56, &1u32.to_be_bytes());
    put(CLUSTER, &place(2));
    put(2 * CLUSTER, &[0, 1, 0, 1, 0, 1, 0, 1]);
    image
}

/// Starts a command line in a folder with the files; returns its state, and a second one.
fn start(args: &[&str], tolerant: bool) -> (String, String) {
    let dir = tempfile::tempdir().expect("a folder");
    provide(dir.path());
    let place = dir.path().display().to_string();
    let args: Vec<String> = args
        .iter()
        .map(|arg| arg.replace("{dir}", &place))
        .collect();
    let mut all = vec![
        "-chardev",
        "socket,id=probe,path={dir}/q,server=on,wait=off",
    ];
    all.extend(["-mon", "chardev=probe,mode=control"]);
    if tolerant {
        all.extend(["--ignore-unknown-options", "-of-the-future", "value=1"]);
    }
    all.extend(args.iter().map(String::as_str));
    let mut server = Server::start_bare(&all);
    drop(server.stdin());
    let mut client = server.qmp();
    let status = client.ask("query-status")["status"].to_string();
    let devices = client.ask_with(
        "qom-list",
        serde_json::json!({"path": "/machine/unattached"}),
    );
    assert!(!devices.as_array().expect("a list").is_empty());
    client.send(r#"{"execute": "quit"}"#);
    (status, place)
}

#[test]
fn command_lines_of_tools_start() {
    let mut count = 0;
    for (name, args) in tools() {
        for tolerant in [false, true] {
            let (status, _) = start(&args, tolerant);
            let expected = if args.contains(&"-S") {
                "prelaunch"
            } else {
                "running"
            };
            assert_eq!(status, format!("\"{expected}\""), "{name}");
        }
        count += 1;
    }
    assert!(count > 35, "the list is read: {count}");
}
