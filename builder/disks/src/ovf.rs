//! OVF descriptors and manifests: "Open Virtualization Format Specification" (DMTF DSP0243, version 1.1.1), with VMware's hardware names, as vSphere imports them.

use model::Digest;

/// One machine with one disk.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    pub name: &'a str,
    /// What people read.
    pub title: &'a str,
    pub version: &'a str,
    /// The disk's file in the package, and its length in bytes.
    pub file: &'a str,
    pub file_size: u64,
    /// Of the disk, in bytes.
    pub capacity: u64,
    pub uefi: bool,
}

/// Processors and MiB of memory: enough for a container host to start; whoever imports it changes them.
const PROCESSORS: u32 = 2;
const MEMORY_MIB: u32 = 4096;
/// ESXi 6.7's hardware: the oldest with everything named here that is still in use.
const HARDWARE: &str = "vmx-14";
/// CIM_OperatingSystem.OSType: 101 is "Linux 64-Bit".
const LINUX_64: u32 = 101;

impl Machine<'_> {
    /// The `.ovf` file.
    pub fn descriptor(&self) -> String {
        let (name, title, version) = (escaped(self.name), escaped(self.title), escaped(self.version));
        let Machine { file, file_size, capacity, .. } = self;
        let firmware = if self.uefi { "efi" } else { "bios" };
        // Resource types of CIM_ResourceAllocationSettingData: 3 processor, 4 memory, 10 Ethernet adapter, 17 disk, 20 other storage device (SATA).
        // SATA, since the initramfs has its driver; VMware's own controllers may be chosen after the import where theirs is there, too.
        format!(
            r##"<?xml version="1.0" encoding="UTF-8"?>
<Envelope xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData" xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData" xmlns:vmw="http://www.vmware.com/schema/ovf">
  <References>
    <File ovf:id="file1" ovf:href="{file}" ovf:size="{file_size}"/>
  </References>
  <DiskSection>
    <Info>The disk</Info>
    <Disk ovf:diskId="disk1" ovf:fileRef="file1" ovf:capacity="{capacity}" ovf:capacityAllocationUnits="byte" ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <NetworkSection>
    <Info>The network</Info>
    <Network ovf:name="VM Network">
      <Description>The network of the only adapter</Description>
    </Network>
  </NetworkSection>
  <VirtualSystem ovf:id="{name}">
    <Info>{title}</Info>
    <Name>{name}</Name>
    <ProductSection>
      <Info>What is on the disk</Info>
      <Product>{title}</Product>
      <Version>{version}</Version>
    </ProductSection>
    <OperatingSystemSection ovf:id="{LINUX_64}" vmw:osType="otherLinux64Guest">
      <Info>64-bit Linux</Info>
    </OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>The hardware</Info>
      <System>
        <vssd:ElementName>Virtual Hardware Family</vssd:ElementName>
        <vssd:InstanceID>0</vssd:InstanceID>
        <vssd:VirtualSystemIdentifier>{name}</vssd:VirtualSystemIdentifier>
        <vssd:VirtualSystemType>{HARDWARE}</vssd:VirtualSystemType>
      </System>
      <Item>
        <rasd:AllocationUnits>hertz * 10^6</rasd:AllocationUnits>
        <rasd:ElementName>Processors</rasd:ElementName>
        <rasd:InstanceID>1</rasd:InstanceID>
        <rasd:ResourceType>3</rasd:ResourceType>
        <rasd:VirtualQuantity>{PROCESSORS}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits>
        <rasd:ElementName>Memory</rasd:ElementName>
        <rasd:InstanceID>2</rasd:InstanceID>
        <rasd:ResourceType>4</rasd:ResourceType>
        <rasd:VirtualQuantity>{MEMORY_MIB}</rasd:VirtualQuantity>
      </Item>
      <Item>
        <rasd:Address>0</rasd:Address>
        <rasd:ElementName>SATA controller</rasd:ElementName>
        <rasd:InstanceID>3</rasd:InstanceID>
        <rasd:ResourceSubType>vmware.sata.ahci</rasd:ResourceSubType>
        <rasd:ResourceType>20</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>0</rasd:AddressOnParent>
        <rasd:ElementName>Disk</rasd:ElementName>
        <rasd:HostResource>ovf:/disk/disk1</rasd:HostResource>
        <rasd:InstanceID>4</rasd:InstanceID>
        <rasd:Parent>3</rasd:Parent>
        <rasd:ResourceType>17</rasd:ResourceType>
      </Item>
      <Item>
        <rasd:AddressOnParent>1</rasd:AddressOnParent>
        <rasd:AutomaticAllocation>true</rasd:AutomaticAllocation>
        <rasd:Connection>VM Network</rasd:Connection>
        <rasd:ElementName>Network adapter</rasd:ElementName>
        <rasd:InstanceID>5</rasd:InstanceID>
        <rasd:ResourceSubType>E1000e</rasd:ResourceSubType>
        <rasd:ResourceType>10</rasd:ResourceType>
      </Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="{firmware}"/>
      <vmw:Config ovf:required="false" vmw:key="bootOptions.efiSecureBootEnabled" vmw:value="false"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
"##
        )
    }
}

/// The `.mf` file.
pub fn manifest(digests: &[(&str, Digest)]) -> String {
    digests.iter().map(|(file, digest)| format!("SHA256({file})= {digest}\n")).collect()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
