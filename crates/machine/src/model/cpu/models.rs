//! Models of processors.
//!
//! A model is another one with changes, down to `base`, which has nothing. Each
//! has a version, `-v1`, and its plain name is an alias of that. There are also
//! `max`, which has every feature the emulator offers, and `host`, which is the host's own
//! processor and needs KVM.

use super::features::{MissingFeature, MISSING, SUPPORTED, X86_CPU};
use crate::model::qom::ObjectType;

const INTEL: &str = "GenuineIntel";
const AMD: &str = "AuthenticAMD";
const HYGON: &str = "HygonGenuine";
const ZHAOXIN: &str = "CentaurHauls";

/// The other results of `CPUID`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its maker.
    pub vendor: &'static str,
    /// Family, model and stepping, the maker's numbers.
    pub family: i64,
    #[allow(missing_docs)]
    pub model: i64,
    #[allow(missing_docs)]
    pub stepping: i64,
    /// The highest basic leaf.
    pub level: i64,
    /// The highest extended leaf.
    pub xlevel: i64,
    /// The name it calls itself.
    pub model_id: &'static str,
}

/// The features of a model.
#[derive(Debug, Clone, Copy)]
enum Features {
    /// All that the emulator offers.
    All,
    /// Those of another model, with changes: `+feature -feature ...`
    Changed(&'static str, &'static str),
}

/// A model of processors (QEMU's `X86CPUModel`).
pub struct CpuModel {
    /// Its name.
    pub name: &'static str,
    /// The model it is an alias of.
    pub alias_of: Option<&'static str>,
    /// The other results of `CPUID`.
    pub identity: Identity,
    features: Features,
    /// The type of its objects.
    pub object: ObjectType,
}

impl CpuModel {
    /// Whether it needs the host's help.
    pub fn needs_kvm(&self) -> bool {
        self.name == "host"
    }

    /// Whether it means the same on all hosts.
    pub fn migration_safe(&self) -> bool {
        !matches!(self.features, Features::All)
    }

    /// Whether it means the same with all machine types.
    pub fn is_static(&self) -> bool {
        self.name == "base"
    }

    /// All its features, also those that the emulator does not offer.
    pub fn features(&self) -> Vec<&'static str> {
        let (base, changes) = match self.features {
            Features::All => return SUPPORTED.to_vec(),
            Features::Changed(base, changes) => (base, changes),
        };
        let mut features = match find_model(base).filter(|_| !self.is_static()) {
            Some(base) => base.features(),
            None => Vec::new(),
        };
        for change in changes.split_ascii_whitespace() {
            match change.split_at(1) {
                ("+", name) => features.push(name),
                (_, name) => features.retain(|f| *f != name),
            }
        }
        features
    }

    /// Its features that the emulator does not offer, in the order of CPUID's registers.
    pub fn unavailable(&self) -> Vec<&'static MissingFeature> {
        let features = self.features();
        let wanted = |f: &&MissingFeature| features.contains(&f.name);
        MISSING.iter().filter(wanted).collect()
    }
}

const fn special(
    name: &'static str,
    typename: &'static str,
    features: Features,
    identity: Identity,
) -> CpuModel {
    CpuModel {
        name,
        alias_of: None,
        identity,
        features,
        object: ObjectType::new(typename, &X86_CPU),
    }
}

const TCG_CPU: Identity = Identity {
    vendor: AMD,
    family: 0,
    model: 0,
    stepping: 0,
    level: 13,
    xlevel: 0x8000_000a,
    model_id: "QEMU TCG CPU version 2.5+",
};

const NO_CPU: Identity = Identity {
    vendor: "",
    level: 0,
    xlevel: 0,
    model_id: "",
    ..TCG_CPU
};

static SPECIAL: [CpuModel; 3] = [
    special("max", "max-x86_64-cpu", Features::All, TCG_CPU),
    special("host", "host-x86_64-cpu", Features::All, TCG_CPU),
    special(
        "base",
        "base-x86_64-cpu",
        Features::Changed("base", ""),
        NO_CPU,
    ),
];

macro_rules! models {
    ($($name:literal from $base:literal, $vendor:ident $family:literal $model:literal
       $stepping:literal, $level:literal $xlevel:literal, $id:literal, $changes:literal;)*) => {
        /// Model and alias in turn.
        static MODELS: &[[CpuModel; 2]] = &[$({
            const IDENTITY: Identity = Identity {
                vendor: $vendor,
                family: $family,
                model: $model,
                stepping: $stepping,
                level: $level,
                xlevel: $xlevel,
                model_id: $id,
            };
            const FEATURES: Features = Features::Changed($base, $changes);
            let versioned = special(
                concat!($name, "-v1"),
                concat!($name, "-v1-x86_64-cpu"),
                FEATURES,
                IDENTITY,
            );
            let plain = CpuModel {
                alias_of: Some(concat!($name, "-v1")),
                ..special($name, concat!($name, "-x86_64-cpu"), FEATURES, IDENTITY)
            };
            [versioned, plain]
        }),*];
    };
}

// Family, model and stepping; levels; its own name; features.
models! {
    "486" from "base", INTEL 4 8 0, 1 0,
        "",
        "+fpu +pse";
    "pentium" from "486", INTEL 5 4 3, 1 0,
        "",
        "+apic +cx8 +de +mce +mmx +msr +tsc";
    "qemu32" from "pentium", INTEL 6 6 3, 4 0x8000_0004,
        "QEMU Virtual CPU version 2.5+",
        "+cmov +fxsr +pae +pat +pge +pni +sep +sse +sse2";
    "pentium2" from "qemu32", INTEL 6 5 2, 2 0,
        "",
        "+mca +mtrr +pse36 -pni -sse -sse2";
    "pentium3" from "pentium2", INTEL 6 7 3, 3 0,
        "",
        "+sse";
    "kvm32" from "pentium3", INTEL 15 6 1, 5 0x8000_0008,
        "Common 32-bit KVM processor",
        "+clflush +pni +sse2";
    "athlon" from "pentium3", AMD 6 2 3, 2 0x8000_0008,
        "QEMU Virtual CPU version 2.5+",
        "+3dnow +3dnowext +mmxext +sse2";
    "coreduo" from "kvm32", INTEL 6 14 8, 10 0x8000_0008,
        "Genuine Intel(R) CPU           T2600  @ 2.16GHz",
        "+acpi +monitor +nx +ss -pse36";
    "Opteron_G1" from "kvm32", AMD 15 6 1, 5 0x8000_0008,
        "AMD Opteron 240 (Gen 1 Class Opteron)",
        "+lm +nx +syscall";
    "kvm64" from "Opteron_G1", INTEL 15 6 1, 13 0x8000_0008,
        "Common KVM processor",
        "+cx16";
    "Conroe" from "Opteron_G1", INTEL 6 15 3, 10 0x8000_0008,
        "Intel Celeron_4x0 (Conroe/Merom Class Core 2)",
        "+lahf-lm +ssse3";
    "qemu64" from "kvm64", AMD 15 107 1, 13 0x8000_000a,
        "QEMU Virtual CPU version 2.5+",
        "+lahf-lm +svm";
    "n270" from "coreduo", INTEL 6 28 2, 10 0x8000_0008,
        "Intel(R) Atom(TM) CPU N270   @ 1.60GHz",
        "+lahf-lm +movbe +ssse3";
    "Opteron_G2" from "qemu64", AMD 15 6 1, 5 0x8000_000a,
        "AMD Opteron 22xx (Gen 2 Class Opteron)",
        "";
    "Penryn" from "Conroe", INTEL 6 23 3, 10 0x8000_0008,
        "Intel Core 2 Duo P9xxx (Penryn Class Core 2)",
        "+cx16 +sse4.1";
    "core2duo" from "Conroe", INTEL 6 15 11, 10 0x8000_0008,
        "Intel(R) Core(TM)2 Duo CPU     T7700  @ 2.40GHz",
        "+acpi +cx16 +monitor +ss";
    "Nehalem" from "Penryn", INTEL 6 26 3, 11 0x8000_0008,
        "Intel Core i7 9xx (Nehalem Class Core i7)",
        "+popcnt +sse4.2";
    "Westmere" from "Nehalem", INTEL 6 44 1, 11 0x8000_0008,
        "Westmere E56xx/L56xx/X56xx (Nehalem-C)",
        "+aes +arat +pclmulqdq";
    "Opteron_G3" from "qemu64", AMD 16 2 3, 5 0x8000_000a,
        "AMD Opteron 23xx (Gen 3 Class Opteron)",
        "+abm +misalignsse +monitor +popcnt +rdtscp +sse4a";
    "phenom" from "Opteron_G3", AMD 16 2 3, 5 0x8000_001a,
        "AMD Phenom(tm) 9550 Quad-Core Processor",
        "+3dnow +3dnowext +fxsr-opt +mmxext +npt +pdpe1gb -misalignsse";
    "SandyBridge" from "Westmere", INTEL 6 42 1, 13 0x8000_0008,
        "Intel Xeon E312xx (Sandy Bridge)",
        "+avx +rdtscp +tsc-deadline +x2apic +xsave +xsaveopt";
    "IvyBridge" from "SandyBridge", INTEL 6 58 9, 13 0x8000_0008,
        "Intel Xeon E3-12xx v2 (Ivy Bridge)",
        "+erms +f16c +fsgsbase +rdrand +smep";
    "Opteron_G4" from "Westmere", AMD 21 1 2, 13 0x8000_001a,
        "AMD Opteron 62xx class CPU",
        "+3dnowprefetch +abm +avx +fma4 +misalignsse +npt +nrip-save +pdpe1gb +rdtscp \
         +sse4a +svm +xop +xsave -arat";
    "Opteron_G5" from "Opteron_G4", AMD 21 2 0, 13 0x8000_001a,
        "AMD Opteron 63xx class CPU",
        "+f16c +fma +tbm";
    "Haswell" from "IvyBridge", INTEL 6 60 4, 13 0x8000_0008,
        "Intel Core Processor (Haswell)",
        "+abm +avx2 +bmi1 +bmi2 +fma +hle +invpcid +movbe +pcid +rtm";
    "Denverton" from "IvyBridge", INTEL 6 95 1, 21 0x8000_0008,
        "Intel Atom Processor (Denverton)",
        "+3dnowprefetch +arch-capabilities +clflushopt +monitor +movbe +mpx +pdpe1gb \
         +rdseed +sha-ni +smap +spec-ctrl +ssbd +xgetbv1 +xsavec -avx -f16c";
    "Broadwell" from "Haswell", INTEL 6 61 2, 13 0x8000_0008,
        "Intel Core Processor (Broadwell)",
        "+3dnowprefetch +adx +rdseed +smap";
    "Skylake-Client" from "Broadwell", INTEL 6 94 3, 13 0x8000_0008,
        "Intel Core Processor (Skylake)",
        "+xgetbv1 +xsavec";
    "KnightsMill" from "Broadwell", INTEL 6 133 0, 13 0x8000_0008,
        "Intel Xeon Phi Processor (Knights Mill)",
        "+avx512-4fmaps +avx512-4vnniw +avx512-vpopcntdq +avx512cd +avx512er +avx512f \
         +avx512pf +pdpe1gb +ss -hle -invpcid -pcid -rtm -smap";
    "Snowridge" from "Denverton", INTEL 6 134 1, 27 0x8000_0008,
        "Intel Atom Processor (SnowRidge)",
        "+cldemote +clwb +core-capability +gfni +movdir64b +movdiri +split-lock-detect \
         +umip";
    "Dhyana" from "Skylake-Client", HYGON 24 0 1, 13 0x8000_001e,
        "Hygon Dhyana Processor",
        "+clflushopt +cr8legacy +fxsr-opt +ibpb +misalignsse +mmxext +monitor +npt \
         +nrip-save +osvw +pdpe1gb +sse4a +svm +topoext -aes -erms -hle -invpcid -pcid \
         -pclmulqdq -rtm -tsc-deadline -x2apic";
    "EPYC" from "Dhyana", AMD 23 1 2, 13 0x8000_001e,
        "AMD EPYC Processor",
        "+aes +pclmulqdq +sha-ni -ibpb";
    "Skylake-Server" from "Skylake-Client", INTEL 6 85 4, 13 0x8000_0008,
        "Intel Xeon Processor (Skylake)",
        "+avx512bw +avx512cd +avx512dq +avx512f +avx512vl +clflushopt +clwb +pdpe1gb +pku";
    "Cascadelake-Server" from "Skylake-Server", INTEL 6 85 6, 13 0x8000_0008,
        "Intel Xeon Processor (Cascadelake)",
        "+avx512vnni +spec-ctrl +ssbd";
    "EPYC-Rome" from "EPYC", AMD 23 49 0, 13 0x8000_001e,
        "AMD EPYC-Rome Processor",
        "+amd-stibp +clwb +clzero +ibpb +perfctr-core +rdpid +umip +wbnoinvd +xsaveerptr \
         +xsaves";
    "YongFeng" from "Broadwell", ZHAOXIN 7 11 3, 31 0x8000_0008,
        "Zhaoxin YongFeng Processor",
        "+ace2 +acpi +arch-capabilities +invtsc +monitor +pdpe1gb +phe +phe-en +pku +pmm \
         +pmm-en +rdpid +sha-ni +spec-ctrl +ss +umip +xcrypt +xcrypt-en +xstore +xstore-en \
         -arat -erms -hle -rtm";
    "Cooperlake" from "Cascadelake-Server", INTEL 6 85 10, 13 0x8000_0008,
        "Intel Xeon Processor (Cooperlake)",
        "+arch-capabilities +avx512-bf16 +stibp";
    "Icelake-Server" from "Cascadelake-Server", INTEL 6 134 0, 13 0x8000_0008,
        "Intel Xeon Processor (Icelake)",
        "+avx512-vpopcntdq +avx512bitalg +avx512vbmi +avx512vbmi2 +gfni +la57 +umip +vaes \
         +vpclmulqdq +wbnoinvd";
    "EPYC-Milan" from "EPYC-Rome", AMD 25 1 1, 13 0x8000_001e,
        "AMD EPYC-Milan Processor",
        "+amd-ssbd +erms +fsrm +ibrs +invpcid +pcid +pku +svme-addr-chk";
    "SierraForest" from "Cooperlake", INTEL 6 175 0, 35 0x8000_0008,
        "Intel Xeon Processor (SierraForest)",
        "+avx-ifma +avx-ne-convert +avx-vnni +avx-vnni-int8 +bus-lock-detect +cmpccxadd \
         +fsrm +fsrs +gfni +mcdt-no +rdpid +serialize +sha-ni +umip +vaes +vpclmulqdq \
         +wbnoinvd +xsaves -avx512-bf16 -avx512bw -avx512cd -avx512dq -avx512f -avx512vl \
         -avx512vnni -hle -rtm -stibp";
    "SapphireRapids" from "Icelake-Server", INTEL 6 143 4, 32 0x8000_0008,
        "Intel Xeon Processor (SapphireRapids)",
        "+amx-bf16 +amx-int8 +amx-tile +arch-capabilities +avx-vnni +avx512-bf16 \
         +avx512-fp16 +avx512ifma +bus-lock-detect +fsrc +fsrm +fsrs +fzrm +rdpid \
         +serialize +sha-ni +tsx-ldtrk +xfd +xsaves";
    "EPYC-Genoa" from "EPYC-Milan", AMD 25 17 0, 13 0x8000_0022,
        "AMD EPYC-Genoa Processor",
        "+amd-psfd +auto-ibrs +avx512-bf16 +avx512-vpopcntdq +avx512bitalg +avx512bw \
         +avx512cd +avx512dq +avx512f +avx512ifma +avx512vbmi +avx512vbmi2 +avx512vl \
         +avx512vnni +gfni +la57 +lfence-always-serializing +no-nested-data-bp \
         +null-sel-clr-base +stibp-always-on +vaes +vnmi +vpclmulqdq";
    "ClearwaterForest" from "SierraForest", INTEL 6 221 0, 35 0x8000_0008,
        "Intel Xeon Processor (ClearwaterForest)",
        "+avx-vnni-int16 +bhi-ctrl +cldemote +ddpd-u +intel-psfd +ipred-ctrl +lam \
         +movdir64b +movdiri +prefetchiti +rrsba-ctrl +sha512 +sm3 +sm4 +ss +tsc-adjust";
    "GraniteRapids" from "SapphireRapids", INTEL 6 173 0, 32 0x8000_0008,
        "Intel Xeon Processor (GraniteRapids)",
        "+amx-fp16 +mcdt-no +prefetchiti";
}

/// All models.
pub fn all_models() -> impl Iterator<Item = &'static CpuModel> {
    SPECIAL.iter().chain(MODELS.iter().flatten())
}

/// The model of that name (`x86_cpu_class_by_name`).
pub fn find_model(name: &str) -> Option<&'static CpuModel> {
    all_models().find(|m| m.name == name)
}

/// The model whose objects have this type.
pub fn model_of_type(typename: &str) -> Option<&'static CpuModel> {
    all_models().find(|m| m.object.name == typename)
}

/// The text of `-cpu help`.
pub fn help() -> String {
    let mut text = String::from("Available CPUs:\n");
    for model in all_models() {
        let what = match model.alias_of {
            Some(versioned) => format!("(alias of {versioned})"),
            None => model.identity.model_id.to_owned(),
        };
        text.push_str(format!("  {:<22}  {what}", model.name).trim_end());
        text.push('\n');
    }
    text.push_str("\nRecognized CPUID flags:\n");
    let names = SUPPORTED.iter().copied();
    for name in names.chain(MISSING.iter().map(|f| f.name)) {
        text.push_str(&format!("  {name}\n"));
    }
    text
}

/// Whether a name is one of a feature.
#[cfg(test)]
fn is_feature(name: &str) -> bool {
    SUPPORTED.contains(&name) || MISSING.iter().any(|f| f.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_built_on_others() {
        let qemu64 = find_model("qemu64").unwrap();
        assert_eq!(qemu64.alias_of, Some("qemu64-v1"));
        let features = qemu64.features();
        assert!(features.contains(&"svm") && features.contains(&"sse2"));
        assert!(!features.contains(&"avx"));
        assert!(find_model("base").unwrap().features().is_empty());
        assert!(find_model("pentium4").is_none());
    }

    #[test]
    fn all_that_models_have_are_features_and_bases_exist() {
        for model in all_models() {
            let features = model.features();
            for (i, name) in features.iter().enumerate() {
                assert!(is_feature(name), "{}: {name}", model.name);
                assert!(
                    !features[..i].contains(name),
                    "{}: {name} twice",
                    model.name
                );
            }
            if let Features::Changed(base, changes) = model.features {
                let base = find_model(base).unwrap();
                for removed in changes.split(' ').filter_map(|c| c.strip_prefix('-')) {
                    assert!(
                        base.features().contains(&removed),
                        "{}: {removed}",
                        model.name
                    );
                }
            }
        }
    }

    #[test]
    fn what_cannot_be_had_is_told_in_order() {
        let names = |model: &str| -> Vec<_> {
            let unavailable = find_model(model).unwrap().unavailable();
            unavailable.iter().map(|f| f.name).collect()
        };
        let haswell = ["pcid", "tsc-deadline", "hle", "invpcid", "rtm"];
        assert_eq!(names("Haswell-v1"), haswell);
        assert_eq!(names("qemu64"), [""; 0]);
    }
}
