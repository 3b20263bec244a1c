//! Makes the program begin where src/bin/gaufre-oci/entry_x86_64.rs says, on the processor that has it.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "x86_64") {
        println!("cargo:rustc-link-arg-bin=gaufre-oci=-Wl,--entry=gaufre_oci_entry");
    }
}
