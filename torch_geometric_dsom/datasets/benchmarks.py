"""The benchmark graphs of the field, by name."""

from __future__ import annotations

from pathlib import Path

from torch_geometric.data import Data

from torch_geometric_dsom.datasets.benchmark_graph import BenchmarkGraph, Card, attach_npz
from torch_geometric_dsom.datasets.download import RemoteFile

GITHUB = "https://raw.githubusercontent.com/"


class DB15K(BenchmarkGraph):
    """DB15K, facts of DBpedia, as MMRNS, AdaMF, NATIVE, MyGO and MoMoK use it.

    The public validation file is none, in every copy: of its 7,481 distinct facts 6,584 are training facts and 824 are
    test facts. ``split='clean'`` therefore holds out 3,961 training facts instead, always the same ones, such that
    training still shows every entity and relation it showed before; ``split='official'`` warns.

    From `"MMKG: Multi-Modal Knowledge Graphs" <https://arxiv.org/abs/1903.05485>`_.

    ======== ========= ======================
    Entities Relations Facts (official)
    ======== ========= ======================
    12,842   279       79,222 / 9,904 / 9,902
    ======== ========= ======================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = DB15K(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="DB15K",
        num_entities=12_842,
        num_relations=279,
        num_facts=(79_222, 9_904, 9_902),
        sha256={
            "train.tsv": "1631e7e8f7ab1a47fdc58634449b4be703c38f82dfaa68987f84cb9bc0cc9489",
            "valid.tsv": "3dea821944f2ef1d74ac8c12d2324889f0436238469695e7ef731fa02d3bffa5",
            "test.tsv": "606867e29976bb24698a902de774241d53a025d79531c20dcdd7d7d98da523ca",
            "entities.tsv": "86f165173aac8722ce70a990ba35dbb8d1fd7a21a86c4bf8773ccd64698a25d0",
            "relations.tsv": "5d0cda097d4565343cdd5c2b9bf7415a4b9e5ebd39d8ee34c0db236c30109840",
        },
        columns=("id", "name", "short", "long", "freebase", "wikidata"),
        remote={
            "train.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/DB15K/train.txt",
                "1631e7e8f7ab1a47fdc58634449b4be703c38f82dfaa68987f84cb9bc0cc9489",
                1_030_302,
            ),
            "valid.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/DB15K/valid.txt",
                "3dea821944f2ef1d74ac8c12d2324889f0436238469695e7ef731fa02d3bffa5",
                127_697,
            ),
            "test.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/DB15K/test.txt",
                "606867e29976bb24698a902de774241d53a025d79531c20dcdd7d7d98da523ca",
                128_687,
            ),
        },
        broken_validation=True,
    )


class MKGW(BenchmarkGraph):
    """MKG-W, facts of Wikidata; 491 entities do not occur in training, 306 test facts touch one.

    From `"Relation-enhanced Negative Sampling for Multimodal Knowledge Graph Completion" <https://doi.org/10.1145/3503161.3548388>`_.

    ======== ========= ======================
    Entities Relations Facts (official)
    ======== ========= ======================
    15,000   169       34,196 / 4,276 / 4,274
    ======== ========= ======================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = MKGW(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="MKG-W",
        num_entities=15_000,
        num_relations=169,
        num_facts=(34_196, 4_276, 4_274),
        sha256={
            "train.tsv": "3f1eb0fd545094ec40e2028228f3d0da0ef75779e0e17ccfae2ada3ee5f8b869",
            "valid.tsv": "c1fc188a6c48867593f3fc4844b775459b7d5dfb61e048e6cf12e4f4c2b1cb37",
            "test.tsv": "d93f66cf5411e18e9e9e7e2f82d601c3d79d4e9b0f184c832e4988ebaeb50472",
            "entities.tsv": "1daeeb9d42d86cc1ea57d549f59c403276df7d01495fd696df8cf15504d824dc",
            "relations.tsv": "e17af968905f72305afa7d4e2bfc63ae55a5681007b80bd28dbeb29f9747a2a6",
        },
        columns=("id", "name", "short", "long"),
        remote={
            "train.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/MKG-W/train.txt",
                "3f1eb0fd545094ec40e2028228f3d0da0ef75779e0e17ccfae2ada3ee5f8b869",
                416_826,
            ),
            "valid.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/MKG-W/valid.txt",
                "c1fc188a6c48867593f3fc4844b775459b7d5dfb61e048e6cf12e4f4c2b1cb37",
                52_954,
            ),
            "test.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/50276d8d2bdb43496ca8685c748c59b64934efd4/data/MKG-W/test.txt",
                "d93f66cf5411e18e9e9e7e2f82d601c3d79d4e9b0f184c832e4988ebaeb50472",
                52_749,
            ),
        },
    )


class MKGY(BenchmarkGraph):
    """MKG-Y, facts of YAGO; 612 entities do not occur in training, 388 test facts touch one.

    From `"Relation-enhanced Negative Sampling for Multimodal Knowledge Graph Completion" <https://doi.org/10.1145/3503161.3548388>`_.

    ======== ========= ======================
    Entities Relations Facts (official)
    ======== ========= ======================
    15,000   28        21,310 / 2,665 / 2,663
    ======== ========= ======================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = MKGY(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="MKG-Y",
        num_entities=15_000,
        num_relations=28,
        num_facts=(21_310, 2_665, 2_663),
        sha256={
            "train.tsv": "491857a4540068ef4d9d46f3d46d3e0295fa3564d4c1400baa13ef369bd41bd1",
            "valid.tsv": "5bb9a00202a8402bad97c3a2abe9cc57bd5092d08122cd9c6e163e3bb6fac693",
            "test.tsv": "dfb140b10f92370efb2ef2ca556bc38c966dd39ea0adc415c74d10690e01fd8b",
            "entities.tsv": "095f8990261c6084e882f81fbac648ef072bd4893b9abea231ee58e915fb0f17",
            "relations.tsv": "2679f439e9d99ff65f7b170e6357db36ba0a2c16766f2dd8b11a3c6524ee247d",
        },
        columns=("id", "name", "short", "long"),
        remote={
            "train.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/6b5fc4d5d36f3d19544ffdd24fd045bd4f384096/data/MKG-Y/train.txt",
                "491857a4540068ef4d9d46f3d46d3e0295fa3564d4c1400baa13ef369bd41bd1",
                259_287,
            ),
            "valid.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/6b5fc4d5d36f3d19544ffdd24fd045bd4f384096/data/MKG-Y/valid.txt",
                "5bb9a00202a8402bad97c3a2abe9cc57bd5092d08122cd9c6e163e3bb6fac693",
                33_247,
            ),
            "test.tsv": RemoteFile(
                GITHUB + "zjukg/MyGO/6b5fc4d5d36f3d19544ffdd24fd045bd4f384096/data/MKG-Y/test.txt",
                "dfb140b10f92370efb2ef2ca556bc38c966dd39ea0adc415c74d10690e01fd8b",
                33_295,
            ),
        },
    )


class FB15k237(BenchmarkGraph):
    """FB15K-237, facts of Freebase without their inverses.

    From `"Observed versus Latent Features for Knowledge Base and Text Inference" <https://doi.org/10.18653/v1/W15-4007>`_.

    ======== ========= =========================
    Entities Relations Facts (official)
    ======== ========= =========================
    14,541   237       272,115 / 17,535 / 20,466
    ======== ========= =========================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = FB15k237(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="FB15K-237",
        num_entities=14_541,
        num_relations=237,
        num_facts=(272_115, 17_535, 20_466),
        sha256={
            "train.tsv": "553d2dd78fba70557e603f470f893c9c971610a25952339162c0cbec88055f55",
            "valid.tsv": "429ad27b1648fafb9d7e3d4c93f5e8a9ceedd48c9990e893b0d29afc8c39d21f",
            "test.tsv": "10ba05c654ca3cdc5b5b70b423845cfee46d4328088d5386b7d31861285e5dc6",
            "entities.tsv": "21f86c9143c2cc9df6d69cd357e15d44def6ffe5602ddc8e0a99c4e71cc6d025",
            "relations.tsv": "9705f8a08b3a29135b388a0d0e5b3a4b2fb5048fd232b34fa07daf4ac5e59822",
        },
        columns=("id", "name", "short", "long", "wikidata"),
        remote={
            "train.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/6eb892fb7289d98117baf93e9921dc533f40822d/benchmarks/FB15K237/train2id.txt",
                "5f44223a02b39b8e398e77a787feb4f06e9ffccf1ae87047bbf38fcc8cc08bd2",
                3_416_118,
            ),
            "valid.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/FB15K237/valid2id.txt",
                "7d21e778de4369d5348f5cff23a08dc847ab5fce4b5f07c80113297d2dc60a86",
                222_093,
            ),
            "test.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/3e3c7a3b71ba11ba8e1094dd3b1255040ab0efc0/benchmarks/FB15K237/test2id.txt",
                "6027e649c1716ac9c1ef2f24672a416aa277aff3e14850ef915ac5a21df70417",
                259_074,
            ),
            "entities.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/3b7f0b19441f11d6bc9331e8d1001a056f759f00/benchmarks/FB15K237/entity2id.txt",
                "2df2382d68595f17c638a13557265226d06beaac04b2f4b31c9646d8c3ffe16b",
                218_557,
            ),
            "relations.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/3b7f0b19441f11d6bc9331e8d1001a056f759f00/benchmarks/FB15K237/relation2id.txt",
                "ecdf2f828ce7ddfdfd4c24d0615638948c28f5f94c3589f33dbf35da762d32f5",
                15_526,
            ),
        },
        layout="openke",
    )


class WN18(BenchmarkGraph):
    """WN18, relations of WordNet; 94 % of the test facts have their inverse in training.

    From `"Translating Embeddings for Modeling Multi-Relational Data" <https://papers.nips.cc/paper/5071-translating-embeddings-for-modeling-multi-relational-data>`_.

    ======== ========= =======================
    Entities Relations Facts (official)
    ======== ========= =======================
    40,943   18        141,442 / 5,000 / 5,000
    ======== ========= =======================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = WN18(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="WN18",
        num_entities=40_943,
        num_relations=18,
        num_facts=(141_442, 5_000, 5_000),
        sha256={
            "train.tsv": "d3406ffe321c353e8a6b62def82bf0b1b9170fa3143f87d207967fad6b4f449c",
            "valid.tsv": "9ee5473867dfb14d570a4bdc9fd19c70b35372459fa21089eee240754ddc2958",
            "test.tsv": "f6005b9549bcf86fbab45e5e985d4874627ffea44c7a577f50aa05e4407d07af",
            "entities.tsv": "842de9884d7d2e00b7aa4e58eb93a4471125149acf73ea3433f2bbefdf48b6b3",
            "relations.tsv": "58074a6f8a8b19f08af11bd3477f6acff85b3b7ef27c2ec8b0762a5ff2cf1c29",
        },
        columns=("id", "name", "gloss"),
        remote={
            "train.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/3b7f0b19441f11d6bc9331e8d1001a056f759f00/benchmarks/WN18/train2id.txt",
                "1bcaff005ba0a5cdd9f9f9982812ac9a0750a84989b4335a50e4c93e13d158c0",
                1_955_191,
            ),
            "valid.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/WN18/valid2id.txt",
                "86cf1437161c5982b9a9ef26d5f8400161a700aa4b3350a6c347d508369a9cc6",
                69_123,
            ),
            "test.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/WN18/test2id.txt",
                "ab06e417090ba904b98796d72fa72c3a5d00241639a849859b2b458074e16ba6",
                68_910,
            ),
            "entities.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/6eb892fb7289d98117baf93e9921dc533f40822d/benchmarks/WN18/entity2id.txt",
                "a0e127ef59529a4662dbf5f12b1278efbcab9d4636eb80e5828a75311ebbb427",
                603_041,
            ),
            "relations.tsv": RemoteFile(
                GITHUB + "thunlp/OpenKE/923d6b326f5f184a5279917536f2c0c6bdce61aa/benchmarks/WN18/relation2id.txt",
                "b0f326f55f4c4ca403e97e97c495e93627bea3fb8f08b9592afd31ef5bcf9752",
                363,
            ),
        },
        layout="openke",
    )


class WN9(BenchmarkGraph):
    """WN9-IMG, relations of WordNet among visible things; 90 % of the test facts have their inverse in training.

    From a mirror, 399 entities have an image: EfficientNet-Lite0 features of one photo each from a sample of ImageNet,
    whose classes that network was trained on, so that they are optimistic.

    From `"Image-embodied Knowledge Representation Learning" <https://arxiv.org/abs/1609.07028>`_.

    ======== ========= ======================
    Entities Relations Facts (official)
    ======== ========= ======================
    6,555    9         11,741 / 1,337 / 1,319
    ======== ========= ======================

    Arguments are those of :class:`BenchmarkGraph`.

    Example:
        >>> dataset = WN9(mirror="path/to/mirror")  # doctest: +SKIP
    """

    card = Card(
        folder="WN9-IMG",
        num_entities=6_555,
        num_relations=9,
        num_facts=(11_741, 1_337, 1_319),
        sha256={
            "train.tsv": "cef2d92fb648439f673da239b1108f7ab1d5658e87b16664c828da864b36cd34",
            "valid.tsv": "f6968b970f896e25c67d8efe8399d244e5c6ec34f9e88cf39683f56aea12e0a5",
            "test.tsv": "16ffc165cab58f8f3b692587bcfff146aead690ba7db53983229960510aa0d7c",
            "entities.tsv": "d5756c5d46248c238c7f18ef6c44b2110c6f249403be7a086ef02650060f7c79",
            "relations.tsv": "09d4592addd30a9523d032c4a25b25ff88c0bb44bb8d79d3cb25defb4551f230",
        },
        columns=("id", "name", "gloss"),
        remote={},
    )

    def finish(self, data: Data, folder: Path) -> Data:
        """Adds the image features that a mirror has."""
        path = folder / "imagenet_sample_lite0.npz"
        if path.is_file():
            attach_npz(data, path, "image", "lite0", "wnid")
        return data
