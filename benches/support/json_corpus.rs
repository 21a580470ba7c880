//! JSON texts to measure with.

pub fn long_string() -> String {
    format!(
        r#"{{"execute":"ringbuf-write","arguments":{{"device":"r","data":"{}"}}}}"#,
        "0123456789abcdef".repeat(65536)
    )
}

pub fn many_members() -> String {
    let members: Vec<String> = (0..40_000)
        .map(|i| format!(r#""member-{i}": {i}"#))
        .collect();
    format!(
        r#"{{"execute":"x","arguments":{{{}}}}}"#,
        members.join(", ")
    )
}

pub fn corpus() -> Vec<(&'static str, String)> {
    let integers: Vec<String> = (0..10_000u64)
        .map(|i| (i * i * 7919 % 1_000_003).to_string())
        .collect();
    let doubles: Vec<String> = (0..10_000)
        .map(|i| format!("{:.3}", f64::from(i) * 1.37 - 5000.0))
        .collect();
    let exact: Vec<String> = (1..10_000)
        .map(|i| format!("{}", 1.0 / f64::from(i)))
        .collect();
    let objects: Vec<String> = (0..10_000)
        .map(|i| format!(r#"{{"id":"net{i}","up":true,"mtu":1500}}"#))
        .collect();
    vec![
        ("query-version", r#"{"execute":"query-version"}"#.into()),
        ("qmp_capabilities", r#"{"execute":"qmp_capabilities","id":"libvirt-12"}"#.into()),
        ("qom-get", r#"{"execute":"qom-get","arguments":{"path":"/machine/i440fx/pci.0","property":"realized"},"id":"libvirt-7"}"#.into()),
        ("device_add", r#"{"execute":"device_add","arguments":{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"52:54:00:12:34:56","bus":"pci.1","addr":"0x0"},"id":"libvirt-386"}"#.into()),
        ("blockdev-add", r#"{"execute":"blockdev-add","arguments":{"node-name":"libvirt-1-format","read-only":false,"discard":"unmap","cache":{"direct":true,"no-flush":false},"driver":"qcow2","file":{"driver":"file","filename":"/var/lib/libvirt/images/guest.qcow2","node-name":"libvirt-1-storage","auto-read-only":true},"backing":null},"id":"libvirt-391"}"#.into()),
        ("query-replies with white space", "{\n    \"return\": [\n        {\"frontend-open\": true, \"filename\": \"unix:/tmp/q,server=on\", \"label\": \"compat_monitor0\"},\n        {\"frontend-open\": false, \"filename\": \"vc\", \"label\": \"parallel0\"}\n    ],\n    \"id\": 17\n}".into()),
        ("escapes", r#"{"execute":"human-monitor-command","arguments":{"command-line":"print \"a\\b\" \u00e9\n"},"id":"\t\r\n"}"#.into()),
        ("non-ASCII", r#"{"execute":"set","arguments":{"name":"Виртуальная машина №7","note":"日本語のテキスト"}}"#.into()),
        ("long string", long_string()),
        ("many members", many_members()),
        ("many objects", format!("[{}]", objects.join(","))),
        ("integers", format!("[{}]", integers.join(","))),
        ("doubles", format!("[{}]", doubles.join(","))),
        ("doubles of 17 digits", format!("[{}]", exact.join(","))),
        ("deep arrays", format!("{}{}", "[".repeat(120), "]".repeat(120))),
        ("deep objects", format!("{}1{}", r#"{"a":"#.repeat(120), "}".repeat(120))),
    ]
}
