"""XML that cannot attack: no entities, no references to other files."""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError, SubElement

import defusedxml.ElementTree
from defusedxml import DefusedXmlException

from roottip.errors import InputError

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def parse(content: bytes, source: object) -> Element:
    """The root element of an XML file's content; its tags are without their namespaces.

    Raises
    ------
    InputError
        It is no well-formed XML, or holds entities or external references (an attack).
    """
    try:
        root: Element = defusedxml.ElementTree.fromstring(content)
    except DefusedXmlException as error:
        raise InputError(f"{source} is refused, its XML holds entities or references") from error
    # an unknown encoding is a LookupError, text cut inside a character a ValueError
    except (ParseError, LookupError, ValueError) as error:
        raise InputError(f"{source} is no well-formed XML: {error}") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]  # "{namespace}tag"
    return root


def encode(root: Element) -> bytes:
    """An element as the content of an XML file.

    Raises
    ------
    InputError
        A name has a character that XML has no way to write.
    """
    for element in root.iter():
        for value in (element.text, *element.attrib.values()):
            if value and _ILLEGAL.search(value):
                raise InputError(f"{value!r} has a character that XML cannot hold; rename it")
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content


def text(element: Element | None) -> str:
    """An element's text without the white space around it: XML's own, not all of Unicode's."""
    return ((element is not None and element.text) or "").strip(" \t\r\n")


def child(parent: Element, tag: str, content: object = None, **attributes: object) -> Element:
    """Add an element to another."""
    made = SubElement(parent, tag, {key: str(value) for key, value in attributes.items()})
    if content is not None:
        made.text = str(content)
    return made
