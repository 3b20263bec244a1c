//! What `oci-spec` uses expressions for works with these.

#[cfg(test)]
mod tests {
    use oci_spec::distribution::Reference;
    use oci_spec::runtime::ExecCPUAffinity;

    #[test]
    fn a_reference_is_taken_apart() {
        let digest = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let text = format!("registry.example:5000/some-group/an_image.name:v1.2-x@{digest}");
        let reference: Reference = text.parse().unwrap();
        assert_eq!(reference.registry(), "registry.example:5000");
        assert_eq!(reference.repository(), "some-group/an_image.name");
        assert_eq!((reference.tag(), reference.digest()), (Some("v1.2-x"), Some(digest.as_str())));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let long_tag = format!("image:{}", "t".repeat(129));
        for text in ["", "Upper", "a//b", "image:", "image:-x", "image@sha256:12", "bild:größe", &long_tag]
        {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_of_processors_is_one_of_numbers_and_ranges() {
        let read =
            |list: &str| serde_json::from_value::<ExecCPUAffinity>(serde_json::json!({ "initial": list }));
        assert!(read("0-3,7").is_ok());
        for wrong in ["", "0-", "a", "0,,1", "٣"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
