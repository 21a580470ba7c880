//! Features of processors: those there are, and those the emulator offers.
//!
//! A feature is a bit in the results of the instruction `CPUID`, and a boolean
//! property of every processor. Models have features that an emulator cannot offer
//! without help from the host; these are switched off, and warnings name them with
//! the place of their bits.

use crate::model::qdev::{abstract_device, property, DEVICE};
use crate::model::qom::{Getter, ObjectType, Property};
use qmonitor::Profile;

/// A feature that the emulator does not offer.
pub struct MissingFeature {
    /// Its name.
    pub name: &'static str,
    /// The register that has its bit, as in `CPUID.01H:ECX`.
    pub(super) register: &'static str,
    /// The same as newer QEMUs name it, as in `CPUID[eax=01h].ECX`.
    newer_register: &'static str,
    /// The number of its bit.
    bit: u8,
}

impl MissingFeature {
    /// The warning when it is asked for.
    pub fn warning(&self, profile: Profile) -> String {
        let register = if profile.has_newer_types() {
            self.newer_register
        } else {
            self.register
        };
        format!(
            "TCG doesn't support requested feature: {register}.{} [bit {}]",
            self.name, self.bit
        )
    }
}

static CPU: ObjectType = ObjectType::new_abstract("cpu", &DEVICE, &[]);

/// The type that those of all models are derived from.
pub(crate) static X86_CPU: ObjectType = abstract_device("x86_64-cpu", &CPU, PROPERTIES);

pub(crate) static TYPES: &[&ObjectType] = &[&CPU, &X86_CPU];

/// The features that QEMU knows since version 11.1.
const NEWER: &[&str] = &[
    "amx-avx512",
    "amx-bf16-alias",
    "amx-complex-alias",
    "amx-fp16-alias",
    "amx-fp8",
    "amx-int8-alias",
    "amx-movrs",
    "amx-tf32",
    "apx-nci-ndd-nf",
    "apxf",
    "avx10-vnni-int",
    "cet-ibt",
    "cet-ss",
    "fs-gs-base-ns",
    "gmet",
    "its-no",
    "movrs",
    "prefetchi",
];

/// Those that the emulator offers since then.
const NEWLY_SUPPORTED: &[&str] = &["no-nested-data-bp", "null-sel-clr-base"];

/// Those that say what a processor does not suffer from. The best processor has none, as it
/// lacks the register that tells so.
const IMMUNITIES: &[&str] = &[
    "bhi-no",
    "fb-clear",
    "fbsdp-no",
    "gds-no",
    "ibrs-all",
    "mds-no",
    "pbrsb-no",
    "pschange-mc-no",
    "psdp-no",
    "rdctl-no",
    "rfds-no",
    "sbdr-ssdp-no",
    "skip-l1dfl-vmentry",
    "ssb-no",
    "taa-no",
];

/// All that the emulator's best processor has.
pub fn supported(profile: Profile) -> Vec<&'static str> {
    let shown = |name: &&str| !IMMUNITIES.contains(name);
    let mut all: Vec<_> = SUPPORTED.iter().copied().filter(shown).collect();
    if profile.has_newer_types() {
        all.extend(NEWLY_SUPPORTED);
    }
    all
}

/// The features that the emulator does not offer, in the order of the registers.
pub fn missing(profile: Profile) -> impl Iterator<Item = &'static MissingFeature> {
    let is_offered =
        move |f: &&MissingFeature| profile.has_newer_types() && NEWLY_SUPPORTED.contains(&f.name);
    MISSING.iter().filter(move |f| !is_offered(f))
}

/// The property of a feature.
const fn feature(name: &'static str) -> Property {
    let feature = property(name, "bool", Getter::Bool(false));
    let mut i = 0;
    while i < NEWER.len() {
        if same(NEWER[i], name) {
            return feature.since(Profile::V11_1);
        }
        i += 1;
    }
    feature
}

/// Whether two texts are the same, when the program is compiled.
const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() && a[i] == b[i] {
        i += 1;
    }
    i == a.len() && i == b.len()
}

macro_rules! features {
    (
        supported: $($supported:literal),*
        missing: $($register:literal $newer:literal: $($name:literal $bit:literal),*;)*
    ) => {
        /// The features that an emulated processor can have.
        static SUPPORTED: &[&str] = &[$($supported),*];

        /// Those that it cannot have, in the order of the registers.
        static MISSING: &[MissingFeature] = &[$($(MissingFeature {
            name: $name,
            register: $register,
            newer_register: $newer,
            bit: $bit,
        }),*),*];

        /// The properties of processors: identity, place, the handling of missing
        /// features, and one for each feature.
        pub(super) static PROPERTIES: &[Property] = &[
            property("vendor", "string", Getter::Str("")),
            property("family", "int", Getter::Int(0)),
            property("model", "int", Getter::Int(0)),
            property("stepping", "int", Getter::Int(0)),
            property("level", "uint32", Getter::Int(0)),
            property("xlevel", "uint32", Getter::Int(0)),
            property("xlevel2", "uint32", Getter::Int(0)),
            property("min-level", "uint32", Getter::Int(0)),
            property("min-xlevel", "uint32", Getter::Int(0)),
            property("min-xlevel2", "uint32", Getter::Int(0)),
            property("model-id", "string", Getter::Str("")),
            property("node-id", "int32", Getter::Int(-1)),
            property("socket-id", "int32", Getter::Int(-1)),
            property("die-id", "int32", Getter::Int(-1)),
            property("module-id", "int32", Getter::Int(-1)),
            property("core-id", "int32", Getter::Int(-1)),
            property("thread-id", "int32", Getter::Int(-1)),
            property("check", "bool", Getter::Bool(true)),
            property("enforce", "bool", Getter::Bool(false)),
            Property::new("unavailable-features", "strList", Getter::EmptyList, None),
            $(feature($supported),)*
            $($(feature($name),)*)*
        ];
    };
}

features! {
    supported:
        "3dnow", "3dnowext", "3dnowprefetch", "abm", "acpi", "adx", "aes", "apic", "arat",
        "bhi-no", "fbsdp-no", "gds-no", "ibrs-all", "mds-no", "pbrsb-no", "pschange-mc-no",
        "psdp-no", "rdctl-no", "rfds-no", "sbdr-ssdp-no", "skip-l1dfl-vmentry", "ssb-no", "taa-no",
        "avx", "avx2", "bmi1", "bmi2", "clflush", "clflushopt", "clwb", "cmov",
        "cmp-legacy", "cmpccxadd", "cr8legacy", "cx16", "cx8", "de", "erms", "f16c", "fma",
        "fb-clear", "fpu", "fsgsbase", "fsrc", "fsrm", "fsrs", "fxsr", "fzrm", "hypervisor", "la57",
        "lahf-lm", "lm", "mca", "mce", "mmx", "mmxext", "monitor", "movbe", "mpx", "msr",
        "mtrr", "npt", "nx", "pae", "pat", "pclmulqdq", "pdpe1gb", "pge", "pks", "pku",
        "pni", "popcnt", "pse", "pse36", "rdpid", "rdrand", "rdseed", "rdtscp", "sep",
        "sha-ni", "smap", "smep", "ss", "sse", "sse2", "sse4.1", "sse4.2", "sse4a", "ssse3",
        "svm", "svme-addr-chk", "syscall", "tsc", "umip", "vaes", "vgif", "wbnoinvd",
        "x2apic", "xgetbv1", "xsave", "xsaveerptr", "xsaveopt"
    missing:
        "CPUID.01H:ECX" "CPUID[eax=01h].ECX":
            "vmx" 5, "pcid" 17, "tsc-deadline" 24;
        "CPUID.07H:EBX" "CPUID[eax=07h,ecx=00h].EBX":
            "tsc-adjust" 1, "hle" 4, "fdp-excptn-only" 6, "invpcid" 10, "rtm" 11,
            "zero-fcs-fds" 13, "avx512f" 16, "avx512dq" 17, "avx512ifma" 21, "avx512pf" 26,
            "avx512er" 27, "avx512cd" 28, "avx512bw" 30, "avx512vl" 31;
        "CPUID.07H:ECX" "CPUID[eax=07h,ecx=00h].ECX":
            "avx512vbmi" 1, "avx512vbmi2" 6, "cet-ss" 7, "gfni" 8, "vpclmulqdq" 10,
            "avx512vnni" 11, "avx512bitalg" 12, "avx512-vpopcntdq" 14, "bus-lock-detect" 24,
            "cldemote" 25, "movdiri" 27, "movdir64b" 28;
        "CPUID.07H:EDX" "CPUID[eax=07h,ecx=00h].EDX":
            "avx512-4vnniw" 2, "avx512-4fmaps" 3, "avx512-vp2intersect" 8, "md-clear" 10,
            "serialize" 14, "tsx-ldtrk" 16, "cet-ibt" 20, "amx-bf16" 22, "avx512-fp16" 23,
            "amx-tile" 24, "amx-int8" 25, "spec-ctrl" 26, "stibp" 27, "flush-l1d" 28,
            "arch-capabilities" 29, "core-capability" 30, "ssbd" 31;
        "CPUID.07H:EAX" "CPUID[eax=07h,ecx=01h].EAX":
            "sha512" 0, "sm3" 1, "sm4" 2, "avx-vnni" 4, "avx512-bf16" 5, "fred" 17, "lkgs"
            18, "wrmsrns" 19, "amx-fp16" 21, "avx-ifma" 23, "lam" 26, "movrs" 31;
        "CPUID.80000001H:EDX" "CPUID[eax=80000001h].EDX":
            "fxsr-opt" 25;
        "CPUID.80000001H:ECX" "CPUID[eax=80000001h].ECX":
            "misalignsse" 7, "osvw" 9, "xop" 11, "fma4" 16, "tbm" 21, "topoext" 22,
            "perfctr-core" 23;
        "CPUID.80000007H:EBX" "CPUID[eax=80000007h].EBX":
            "overflow-recov" 0, "succor" 1;
        "CPUID.80000007H:EDX" "CPUID[eax=80000007h].EDX":
            "invtsc" 8;
        "CPUID.80000008H:EBX" "CPUID[eax=80000008h].EBX":
            "clzero" 0, "ibpb" 12, "ibrs" 14, "amd-stibp" 15, "stibp-always-on" 17,
            "amd-ssbd" 24, "amd-psfd" 28;
        "CPUID.80000021H:EAX" "CPUID[eax=80000021h].EAX":
            "no-nested-data-bp" 0, "fs-gs-base-ns" 1, "lfence-always-serializing" 2,
            "null-sel-clr-base" 6, "auto-ibrs" 8, "prefetchi" 20, "sbpb" 27, "ibpb-brtype"
            28, "srso-user-kernel-no" 30;
        "CPUID.80000022H:EAX" "CPUID[eax=80000022h].EAX":
            "perfmon-v2" 0;
        "CPUID.C0000001H:EDX" "CPUID[eax=C0000001h].EDX":
            "xstore" 2, "xstore-en" 3, "xcrypt" 6, "xcrypt-en" 7, "ace2" 8, "phe" 10,
            "phe-en" 11, "pmm" 12, "pmm-en" 13;
        "CPUID.8000000AH:EDX" "CPUID[eax=8000000Ah].EDX":
            "lbrv" 1, "nrip-save" 3, "tsc-scale" 4, "vmcb-clean" 5, "flushbyasid" 6,
            "pause-filter" 10, "pfthreshold" 12, "v-vmsave-vmload" 15, "gmet" 17, "vnmi" 25;
        "CPUID.0DH:EAX" "CPUID[eax=0Dh,ecx=01h].EAX":
            "xsavec" 1, "xsaves" 3, "xfd" 4;
        "MSR(10AH)" "MSR(10Ah)":
            "its-no" 62;
        "MSR(CFH)" "MSR(CFh)":
            "split-lock-detect" 5;
        "CPUID.07H:EDX" "CPUID[eax=07h,ecx=01h].EDX":
            "avx-vnni-int8" 4, "avx-ne-convert" 5, "amx-complex" 8, "avx-vnni-int16" 10,
            "prefetchiti" 14, "avx10" 19, "apxf" 21;
        "CPUID.07H:EDX" "CPUID[eax=07h,ecx=02h].EDX":
            "intel-psfd" 0, "ipred-ctrl" 1, "rrsba-ctrl" 2, "ddpd-u" 3, "bhi-ctrl" 4,
            "mcdt-no" 5;
        "CPUID.24H:EBX" "CPUID[eax=24h,ecx=00h].EBX":
            "avx10-128" 16, "avx10-256" 17, "avx10-512" 18;
        "CPUID.24H:ECX" "CPUID[eax=24h,ecx=01h].ECX":
            "avx10-vnni-int" 2;
        "CPUID.29H:EBX" "CPUID[eax=29h,ecx=00h].EBX":
            "apx-nci-ndd-nf" 0;
        "CPUID.1EH:EAX" "CPUID[eax=1Eh,ecx=01h].EAX":
            "amx-int8-alias" 0, "amx-bf16-alias" 1, "amx-complex-alias" 2, "amx-fp16-alias"
            3, "amx-fp8" 4, "amx-tf32" 6, "amx-avx512" 7, "amx-movrs" 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_tells_where_the_bit_is() {
        let rtm = MISSING.iter().find(|f| f.name == "rtm").unwrap();
        assert_eq!(
            rtm.warning(Profile::V10_0),
            "TCG doesn't support requested feature: CPUID.07H:EBX.rtm [bit 11]"
        );
        assert_eq!(
            rtm.warning(Profile::V11_1),
            "TCG doesn't support requested feature: CPUID[eax=07h,ecx=00h].EBX.rtm [bit 11]"
        );
    }

    #[test]
    fn no_feature_is_there_twice() {
        let mut names: Vec<_> = PROPERTIES.iter().map(|p| p.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
